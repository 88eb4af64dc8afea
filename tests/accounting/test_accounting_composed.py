"""Composition: of mechanisms, and of records by their mechanisms."""

from itertools import permutations
from math import hypot, inf, sqrt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seepage.accounting.composed import Composed, compose
from seepage.accounting.gaussian import epsilon_of
from seepage.accounting.laplace import Laplace
from seepage.accounting.mechanism import Mechanism, mechanism_from_json
from seepage.accounting.pure import PureEpsilon
from seepage.accounting.randomized_response import RandomizedResponse
from seepage.accounting.record import (
    compose_records,
    epsilon_and_accountant,
    gaussian_record,
    mechanism_of,
    unprotected_record,
)
from seepage.accounting.sampled_gaussian import SampledGaussian
from seepage.core.errors import UsageError
from seepage.core.privacy import EpsilonRecord

CLIENT = {
    "mechanism": "noise",
    "delta": 1e-5,
    "unit": "client",
    "adjacency": "add-remove",
    "observer": "honest-server",
    "trust": "nobody",
}
PLAIN = SampledGaussian(noise_multiplier=3.0, releases=4)
LOUD = SampledGaussian(noise_multiplier=1.5)
SAMPLED = SampledGaussian(noise_multiplier=1.0, sample_rate=0.1, releases=30)


def record(noise_multiplier: float = 2.0, releases: int = 1, **changes: object) -> EpsilonRecord:
    values = {**CLIENT, "noise_multiplier": noise_multiplier, "releases": releases, **changes}
    return gaussian_record(**values)


@settings(deadline=None)
@given(sigmas=st.lists(st.floats(0.1, 50), min_size=1, max_size=5))
def test_gaussians_compose_to_the_root_of_the_sum_of_squares(sigmas: list[float]) -> None:
    whole = compose(SampledGaussian(noise_multiplier=s) for s in sigmas)
    assert whole.mu == pytest.approx(hypot(*(1 / s for s in sigmas)))
    assert whole.releases == len(sigmas)
    epsilon, accountant = epsilon_and_accountant(whole, 1e-5)
    assert epsilon == pytest.approx(epsilon_of(whole.mu, 1e-5))
    assert accountant.startswith("exact")


def test_order_and_nesting_are_irrelevant() -> None:
    wholes = {compose(order) for order in permutations([PLAIN, LOUD, SAMPLED])}
    assert wholes | {compose([compose([PLAIN, SAMPLED]), LOUD])} == wholes
    assert len(wholes) == 1


def test_equal_mechanisms_become_one_of_more_releases() -> None:
    assert compose([SAMPLED, SAMPLED.once(), SAMPLED]) == SampledGaussian(
        noise_multiplier=1.0, sample_rate=0.1, releases=61
    )


def test_a_mixture_lies_between_its_largest_part_and_its_unsampled_whole() -> None:
    whole = compose([PLAIN, SAMPLED])
    epsilon, accountant = epsilon_and_accountant(whole, 1e-5)
    assert accountant.startswith("PLD")
    assert max(epsilon_and_accountant(p, 1e-5)[0] for p in (PLAIN, SAMPLED)) < epsilon
    assert epsilon < epsilon_of(whole.mu_bound, 1e-5)
    assert epsilon < sum(epsilon_and_accountant(p, 1e-5)[0] for p in (PLAIN, SAMPLED))


@pytest.mark.parametrize(
    "mechanism",
    [
        PureEpsilon(epsilon=1.0, releases=3),
        Laplace(noise_multiplier=1.0, releases=3),
        compose([PureEpsilon(epsilon=1.0), RandomizedResponse(epsilon=0.5, releases=4)]),
    ],
    ids=lambda mechanism: mechanism.kind,
)
def test_pure_releases_are_never_worse_than_their_sum(mechanism: Mechanism) -> None:
    assert mechanism.pure_epsilon == pytest.approx(3.0)
    few, _ = epsilon_and_accountant(mechanism, 1e-9)
    assert few <= mechanism.pure_epsilon
    assert few == pytest.approx(3.0, rel=1e-3)
    many = compose([mechanism] * 300)
    assert epsilon_and_accountant(many, 1e-5)[0] < 0.9 * many.pure_epsilon
    assert compose([mechanism, PLAIN]).pure_epsilon == inf


def test_the_sum_of_pure_epsilons_is_named() -> None:
    three = PureEpsilon(epsilon=1.0, releases=3)
    assert epsilon_and_accountant(three, 1e-12) == (3.0, "pure DP, summed (Dwork et al. 2006)")
    hopeless = PureEpsilon(epsilon=1e6, releases=3)
    assert epsilon_and_accountant(hopeless, 1e-5)[0] == 3e6


def test_known_releases_are_a_composition_of_whole_and_sampled_ones() -> None:
    known = SampledGaussian(noise_multiplier=1.0, sample_rate=0.1, releases=34, known=4)
    whole = SampledGaussian(noise_multiplier=1.0, releases=4)
    assert epsilon_and_accountant(known, 1e-5)[0] == pytest.approx(
        epsilon_and_accountant(compose([SAMPLED, whole]), 1e-5)[0], rel=1e-3
    )


@pytest.mark.parametrize("mechanism", [PLAIN, SAMPLED, compose([PLAIN, SAMPLED, LOUD])])
def test_json_gives_the_mechanism_back(mechanism: SampledGaussian | Composed) -> None:
    assert mechanism_from_json(mechanism.to_json()) == mechanism


def test_records_compose_by_their_mechanisms_never_by_their_epsilons() -> None:
    quoted = record(releases=1)
    whole = compose_records([quoted] * 100, 1e-5)
    assert whole.mu == pytest.approx(5.0)
    assert whole.total_epsilon == pytest.approx(epsilon_of(5.0, 1e-5))
    assert whole.total_epsilon < 100 * quoted.total_epsilon
    assert whole.per_release_epsilon == pytest.approx(quoted.total_epsilon)
    assert (whole.releases, whole.mechanism) == (100, "noise")
    again = compose_records([whole, record(noise_multiplier=1.0)], 1e-6)
    assert again.mu == pytest.approx(sqrt(25 + 1))
    assert again.delta == 1e-6
    assert mechanism_of(again).releases == 101


def test_one_record_without_noise_undoes_all() -> None:
    open_ = unprotected_record(**CLIENT, releases=1)
    whole = compose_records([record(), open_, record(sample_rate=0.1)], 1e-5)
    assert whole.total_epsilon == inf
    assert set(whole.rero.values()) == {1.0}


@pytest.mark.parametrize(
    ("others", "named"),
    [
        ([], "nothing is composed"),
        ([record(), record(unit="record")], "unit"),
        ([record(), record(adjacency="replace")], "adjacency"),
        ([record(), record(observer="peer-client")], "observer"),
    ],
)
def test_what_does_not_compose_is_refused(others: list[EpsilonRecord], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        compose_records(others, 1e-5)
