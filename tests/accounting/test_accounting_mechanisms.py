"""Each mechanism beside an independent computation from its densities."""

from itertools import product
from math import exp, inf, log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from seepage.accounting.bounds import GaussianProfile
from seepage.accounting.composed import compose
from seepage.accounting.distributed_gaussian import DistributedGaussian
from seepage.accounting.laplace import Laplace
from seepage.accounting.matrix_gaussian import (
    MatrixGaussian,
)
from seepage.accounting.mechanism import Mechanism
from seepage.accounting.pure import PureEpsilon, mu_of_pure
from seepage.accounting.randomized_response import RandomizedResponse
from seepage.accounting.record import profile_of
from seepage.accounting.sampled_gaussian import SampledGaussian
from seepage.core.errors import UsageError

Pair = tuple[np.ndarray, np.ndarray]
EPSILONS = np.array([0.0, 0.1, 0.3, 0.7, 1.5, 4.0])
ORDERS = np.array([1.001, 1.5, 2.0, 5.0, 32.0])


def laplace_pair(shift: float) -> Pair:
    """The two densities as masses of cells, those beyond both centers exactly."""
    edges = np.linspace(0.0, shift, 4001)
    middles = (edges[1:] + edges[:-1]) / 2
    width = edges[1] - edges[0]
    here = np.concatenate([[0.5], 0.5 * np.exp(-middles) * width, [0.5 * exp(-shift)]])
    return here, here[::-1].copy()


def answers(epsilon: float, categories: int) -> Pair:
    odds = np.ones(categories)
    odds[0] = exp(epsilon)
    here = odds / odds.sum()
    there = here.copy()
    there[[0, 1]] = here[[1, 0]]
    return here, there


PAIRS: list[tuple[Mechanism, Pair]] = [
    (Laplace(noise_multiplier=0.8), laplace_pair(1 / 0.8)),
    (Laplace(noise_multiplier=3.0, adjacency="replace"), laplace_pair(2 / 3.0)),
    (PureEpsilon(epsilon=0.9), answers(0.9, 2)),
    (RandomizedResponse(epsilon=2.0, categories=2), answers(2.0, 2)),
    (RandomizedResponse(epsilon=2.0, categories=7), answers(2.0, 7)),
]


def delta_at(pair: Pair, epsilons: np.ndarray) -> np.ndarray:
    here, there = pair
    return np.maximum(here - np.exp(epsilons)[:, None] * there, 0.0).sum(axis=1)


def squared(pair: Pair) -> Pair:
    here, there = (masses[::20] for masses in pair) if len(pair[0]) > 100 else pair
    return np.outer(here, here).ravel(), np.outer(there, there).ravel()


@pytest.mark.parametrize(("mechanism", "pair"), PAIRS, ids=lambda v: getattr(v, "kind", ""))
def test_currencies_are_those_of_the_densities(mechanism: Mechanism, pair: Pair) -> None:
    here, there = pair
    moments = [np.log((here**a * there ** (1 - a)).sum()) / (a - 1) for a in ORDERS]
    assert mechanism.renyi(ORDERS) == pytest.approx(moments, rel=1e-3)
    assert mechanism.divergence_bits() == pytest.approx(
        (here * np.log2(here / there)).sum(), rel=1e-3
    )
    for delta in (1e-5, 0.01, 0.2):
        exact = mechanism.exact_epsilon(delta)
        assert exact is not None
        if exact[0] > 0:
            assert delta_at(pair, np.array([exact[0]]))[0] == pytest.approx(delta, rel=1e-2)
        else:
            assert delta_at(pair, np.zeros(1))[0] <= delta * 1.001
    truth = delta_at(pair, EPSILONS)
    claimed = profile_of(mechanism).delta(EPSILONS)
    assert (claimed >= truth - 1e-6).all()
    assert claimed == pytest.approx(truth, abs=2e-3)


@pytest.mark.parametrize(("mechanism", "pair"), PAIRS[2:], ids=lambda v: getattr(v, "kind", ""))
def test_two_releases_are_the_product_of_the_densities(mechanism: Mechanism, pair: Pair) -> None:
    twice = mechanism.joined(mechanism)
    assert twice is not None
    truth = delta_at(squared(pair), EPSILONS)
    claimed = profile_of(twice).delta(EPSILONS)
    assert (claimed >= truth - 1e-9).all()
    assert claimed == pytest.approx(truth, abs=2e-3)


@pytest.mark.parametrize(("mechanism", "pair"), PAIRS, ids=lambda v: getattr(v, "kind", ""))
def test_the_mu_bound_lies_below_the_true_trade_off(mechanism: Mechanism, pair: Pair) -> None:
    here, there = pair
    order = np.argsort(-here / there, kind="stable")
    miss = 1 - np.cumsum(here[order])
    false_alarm = np.cumsum(there[order])
    gaussian = GaussianProfile(mechanism.mu_bound).trade_off(np.clip(false_alarm, 0, 1))
    assert (gaussian <= miss + 1e-6).all()


def test_the_mu_of_pure_dp_is_attained_by_a_lying_coin() -> None:
    mu = mu_of_pure(1.3)
    corner = 1 / (1 + exp(1.3))
    assert GaussianProfile(mu).trade_off(np.array([corner]))[0] == pytest.approx(corner)
    assert mu_of_pure(2000.0) == pytest.approx(2 * sqrt(2 * 2000), rel=0.01)


@settings(max_examples=25, deadline=None)
@given(shift=st.floats(0.05, 6), share=st.floats(0.01, 0.5), epsilon=st.floats(0, 6))
def test_laplace_noise_is_weakest_against_a_change_of_one_coordinate(
    shift: float, share: float, epsilon: float
) -> None:
    one, two = laplace_pair(share * shift), laplace_pair((1 - share) * shift)
    one, two = (tuple(thinned(m) for m in pair) for pair in (one, two))
    split = (np.outer(one[0], two[0]).ravel(), np.outer(one[1], two[1]).ravel())
    whole = max(0.0, 1 - exp((epsilon - shift) / 2))
    assert delta_at(split, np.array([epsilon]))[0] <= whole + 1e-4


def thinned(masses: np.ndarray) -> np.ndarray:
    """Merge the inner cells, which loses a little and so lowers delta a little."""
    return np.concatenate([masses[:1], masses[1:-1].reshape(-1, 16).sum(axis=1), masses[-1:]])


def test_the_best_test_of_composed_laplace_and_gaussian_releases_attains_the_bounds() -> None:
    rng, n, b, sigma = np.random.default_rng(0), 300_000, 1.5, 2.0
    whole = compose(
        [
            Laplace(noise_multiplier=b, releases=3),
            SampledGaussian(noise_multiplier=sigma, releases=2),
        ]
    )

    def scores(*, member: bool) -> np.ndarray:
        x = member + rng.laplace(scale=b, size=(n, 3))
        y = member + sigma * rng.normal(size=(n, 2))
        return ((np.abs(x) - np.abs(x - 1)) / b).sum(axis=1) + ((2 * y - 1) / 2 / sigma**2).sum(1)

    absent, present = scores(member=False), scores(member=True)
    profile = profile_of(whole)
    tpr = float((present > np.quantile(absent, 0.99)).mean())
    assert tpr - 0.003 <= profile.max_tpr(0.01) <= tpr + 0.005
    accuracy = ((absent < 0).mean() + (present > 0).mean()) / 2
    assert profile.max_accuracy() == pytest.approx(accuracy, abs=3e-3)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Laplace(noise_multiplier=-1.0), "noise_multiplier"),
        (lambda: Laplace(noise_multiplier=1.0, adjacency="removed"), "adjacency"),
        (lambda: PureEpsilon(epsilon=inf), "epsilon"),
        (lambda: PureEpsilon(epsilon=1.0, releases=0), "releases"),
        (lambda: RandomizedResponse(epsilon=1.0, categories=1), "categories"),
        (lambda: MatrixGaussian(noise_multiplier=1.0, participations=0), "participations"),
        (
            lambda: DistributedGaussian(
                noise_multiplier=1.0, honest=0, dimension=1, granularity=0.1
            ),
            "honest",
        ),
    ],
)
def test_what_is_no_mechanism_is_refused_in_one_line(make: object, named: str) -> None:
    with pytest.raises(UsageError, match=named) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_pure_dp_bounds_a_secret_bit_by_the_odds() -> None:
    for epsilon, answers_ in product((1.2, 1.5), (2,)):
        mechanism = RandomizedResponse(epsilon=epsilon, categories=answers_)
        assert profile_of(mechanism).max_accuracy() == pytest.approx(
            exp(epsilon) / (1 + exp(epsilon)), rel=1e-3
        )
    told = PureEpsilon(epsilon=log(9))
    assert told.divergence_bits() == pytest.approx(0.8 * log(9) / log(2))
    assert norm.cdf(mu_of_pure(log(9)) / 2) == pytest.approx(0.9)
