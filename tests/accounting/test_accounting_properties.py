"""What every accountant must obey, whatever the mechanisms."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seepage.accounting.composed import compose, parts_of
from seepage.accounting.distributed_gaussian import DistributedGaussian
from seepage.accounting.gaussian import epsilon_of
from seepage.accounting.laplace import Laplace
from seepage.accounting.matrix_gaussian import MatrixGaussian
from seepage.accounting.mechanism import KINDS, Mechanism, mechanism_from_json
from seepage.accounting.pld import loss_profile
from seepage.accounting.pure import PureEpsilon
from seepage.accounting.randomized_response import RandomizedResponse
from seepage.accounting.rdp import rdp_epsilon
from seepage.accounting.record import epsilon_and_accountant, mechanism_record, profile_of
from seepage.accounting.sampled_gaussian import SampledGaussian
from seepage.core.errors import UsageError

FEW = settings(max_examples=20, deadline=None)
RELEASES = st.integers(1, 40)
NOISE = st.floats(0.5, 8)
MECHANISMS = st.one_of(
    st.builds(SampledGaussian, noise_multiplier=NOISE, releases=RELEASES),
    st.builds(
        SampledGaussian,
        noise_multiplier=NOISE,
        releases=RELEASES,
        sample_rate=st.floats(0.01, 0.5),
        adjacency=st.sampled_from(["add-remove", "zero-out", "replace"]),
    ),
    st.builds(Laplace, noise_multiplier=NOISE, releases=RELEASES),
    st.builds(PureEpsilon, epsilon=st.floats(0, 2), releases=RELEASES),
    st.builds(
        RandomizedResponse, epsilon=st.floats(0, 2), categories=st.integers(2, 9), releases=RELEASES
    ),
    st.builds(
        MatrixGaussian, noise_multiplier=NOISE, releases=RELEASES, participations=st.integers(1, 4)
    ),
    st.builds(
        DistributedGaussian,
        noise_multiplier=NOISE,
        releases=RELEASES,
        honest=st.integers(1, 30),
        dimension=st.integers(1, 1000),
        granularity=st.floats(0.001, 0.5),
    ),
)


def epsilon(mechanism: Mechanism) -> float:
    return epsilon_and_accountant(mechanism, 1e-5)[0]


@FEW
@given(mechanism=MECHANISMS)
def test_more_releases_never_give_away_less(mechanism: Mechanism) -> None:
    twice = compose([mechanism, mechanism])
    one, two = epsilon(mechanism), epsilon(twice)
    assert two >= one * 0.99
    assert rdp_epsilon(twice, 1e-5) >= rdp_epsilon(mechanism, 1e-5)
    assert epsilon(mechanism.once()) <= one * 1.01 + 1e-9
    assert profile_of(twice).max_tpr(0.01) >= profile_of(mechanism).max_tpr(0.01) * 0.99
    assert twice.divergence_bits() == pytest.approx(2 * mechanism.divergence_bits())


@FEW
@given(mechanisms=st.lists(MECHANISMS, min_size=2, max_size=4), seed=st.integers(0, 99))
def test_the_order_of_composition_is_irrelevant(mechanisms: list[Mechanism], seed: int) -> None:
    shuffled = random.Random(seed).sample(mechanisms, len(mechanisms))
    assert compose(mechanisms) == compose(shuffled)
    head, *tail = shuffled
    assert compose([compose(tail), head]) == compose(mechanisms)
    whole = compose(mechanisms)
    assert mechanism_from_json(whole.to_json()) == whole
    assert epsilon(whole) >= 0.99 * max(epsilon(part) for part in parts_of(whole))


@FEW
@given(mechanisms=st.lists(MECHANISMS, min_size=1, max_size=3))
def test_the_distribution_is_no_looser_than_renyi_once_refined(
    mechanisms: list[Mechanism],
) -> None:
    whole = compose(mechanisms)
    by_renyi = rdp_epsilon(whole, 1e-5)
    by_loss = loss_profile(whole, 1e-5).epsilon(1e-5)
    assert by_loss <= by_renyi * 1.01 + 1e-6
    assert by_loss <= epsilon_of(whole.mu_bound, 1e-5) * 1.01 + 1e-6
    if whole.mu is not None:
        assert by_loss >= epsilon_of(whole.mu, 1e-5) * (1 - 1e-6)


@pytest.mark.parametrize(
    "nothing",
    [
        PureEpsilon(epsilon=0.0, releases=1000),
        RandomizedResponse(epsilon=0.0, categories=5),
        SampledGaussian(noise_multiplier=1e9),
        SampledGaussian(noise_multiplier=1e9, sample_rate=0.1, releases=10),
        Laplace(noise_multiplier=1e9, releases=10),
        MatrixGaussian(noise_multiplier=1e9, releases=10),
        DistributedGaussian(noise_multiplier=1e9, honest=3, dimension=10, granularity=0.1),
    ],
    ids=lambda mechanism: mechanism.kind,
)
def test_what_tells_nothing_costs_nothing(nothing: Mechanism) -> None:
    assert epsilon(nothing) <= 1e-6
    profile = profile_of(nothing)
    assert profile.information_bits <= 1e-12
    assert profile.max_tpr(0.01) == pytest.approx(0.01, abs=1e-5)
    real = SampledGaussian(noise_multiplier=2.0, sample_rate=0.3, releases=5)
    assert epsilon(compose([real, nothing])) == pytest.approx(epsilon(real), rel=0.01)


@FEW
@given(mechanism=MECHANISMS, prior=st.floats(1e-4, 0.5))
def test_bounds_lie_between_the_prior_and_one(mechanism: Mechanism, prior: float) -> None:
    profile = profile_of(mechanism)
    assert prior <= profile.rero(prior) <= 1
    assert 0.5 <= profile.max_accuracy() <= profile.max_auc() <= 1
    grid = np.linspace(0.0, 1.0, 21)
    missed = profile.trade_off(grid)
    assert (np.diff(missed) <= 1e-12).all()
    assert (missed <= 1 - grid + 1e-9).all()


def test_every_kind_can_be_read_and_recorded() -> None:
    common = {"delta": 1e-5, "unit": "client", "adjacency": "replace"}
    words = {"mechanism": "noise", "observer": "central", "trust": "all"}
    for kind in KINDS:
        extra = {"noise_multiplier": 3.0}
        if kind in ("pure", "randomized-response"):
            extra = {"epsilon": 0.4}
        elif kind == "distributed-gaussian":
            extra |= {"honest": 5, "dimension": 10, "granularity": 0.1}
        elif kind == "composed":
            extra = {"parts": [{"kind": "pure", "epsilon": 0.4}]}
        built = mechanism_from_json({"kind": kind, **extra})
        record = mechanism_record(built, **common, **words)
        assert 0 < record.per_release_epsilon <= record.total_epsilon * 1.01 < 50
        assert record.composition
    with pytest.raises(UsageError, match="did you mean 'laplace'"):
        mechanism_from_json({"kind": "laplac"})
