"""Each mechanism beside an independent computation from its densities."""

from itertools import combinations, product
from math import exp, inf, log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from scipy.stats import norm

from seepage.accounting.bounds import GaussianProfile
from seepage.accounting.composed import compose
from seepage.accounting.distributed_gaussian import DistributedGaussian
from seepage.accounting.gaussian import epsilon_of, mu_of
from seepage.accounting.laplace import Laplace
from seepage.accounting.matrix_gaussian import (
    MatrixGaussian,
    inverse_sqrt_toeplitz,
    prefix_error,
    sqrt_toeplitz,
)
from seepage.accounting.mechanism import Mechanism
from seepage.accounting.per_coordinate import per_coordinate_gaussian, whitened_sensitivity
from seepage.accounting.pure import PureEpsilon, mu_of_pure
from seepage.accounting.randomized_response import RandomizedResponse
from seepage.accounting.record import epsilon_and_accountant, profile_of
from seepage.accounting.sampled_gaussian import SampledGaussian
from seepage.core.errors import RefusedError, UsageError

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


@pytest.mark.parametrize(("participations", "separation"), [(1, 1), (2, 3), (3, 2), (7, 1)])
def test_matrix_noise_covers_the_worst_pattern_of_participation(
    participations: int, separation: int
) -> None:
    rng, steps, sigma = np.random.default_rng(1), 7, 1.7
    mechanism = MatrixGaussian(
        noise_multiplier=sigma,
        releases=steps,
        participations=participations,
        min_separation=separation,
    )
    # Sigma = sigma^2 C^-1 C^-T, from the coefficients of C^-1 alone.
    inverse = np.array(
        [
            [inverse_sqrt_toeplitz(steps)[i - j] if i >= j else 0 for j in range(steps)]
            for i in range(steps)
        ]
    )
    precision = np.linalg.inv(sigma**2 * inverse @ inverse.T)
    worst = 0.0
    for count in range(1, participations + 1):
        for pattern in combinations(range(steps), count):
            if count > 1 and min(np.diff(pattern)) < separation:
                continue
            aligned = np.zeros(steps)
            aligned[list(pattern)] = 1.0
            worst = max(worst, sqrt(aligned @ precision @ aligned))
            vectors = np.zeros((steps, 3))
            vectors[list(pattern)] = rng.normal(size=(count, 3))
            norms = np.linalg.norm(vectors, axis=1, keepdims=True)
            vectors = np.divide(vectors, norms, out=vectors, where=norms > 0)
            assert sqrt(np.trace(vectors.T @ precision @ vectors)) <= mechanism.mu + 1e-9
    assert mechanism.mu == pytest.approx(worst)


def test_matrix_noise_keeps_prefix_sums_near() -> None:
    assert prefix_error(500) == pytest.approx(3.04, abs=0.005)
    column = sqrt_toeplitz(40)
    assert np.convolve(column, column)[:40] == pytest.approx(np.ones(40))
    assert np.convolve(column, inverse_sqrt_toeplitz(40))[:40] == pytest.approx(
        np.eye(1, 40)[0], abs=1e-12
    )
    run = MatrixGaussian(noise_multiplier=2.0, releases=500)
    assert run.joined(run) is None
    assert compose([run, run]).mu == pytest.approx(sqrt(2) * run.mu)
    assert run.once().mu == pytest.approx(0.5)


def discrete_gaussian(deviation: float) -> np.ndarray:
    reach = int(14 * deviation) + 8
    masses = np.exp(-(np.arange(-reach, reach + 1.0) ** 2) / (2 * deviation**2))
    return masses / masses.sum()


@pytest.mark.parametrize("deviation", [0.5, 0.6, 0.8, 1.5])
@pytest.mark.parametrize("honest", [1, 2, 5])
@pytest.mark.parametrize("norm_", [1, 3])
def test_sums_of_discrete_gaussians_stay_within_the_theorem(
    deviation: float, honest: int, norm_: int
) -> None:
    # A grid of 1 / norm that holds every contribution: rounding adds half a step.
    mechanism = DistributedGaussian(
        noise_multiplier=deviation / norm_,
        honest=honest,
        dimension=1,
        granularity=1 / norm_,
        rounding="nearest",
    )
    noise = discrete_gaussian(deviation)
    total = noise
    for _ in range(honest - 1):
        total = np.convolve(total, noise)
    shift = int(mechanism.rounded_norm * norm_)
    here = np.concatenate([np.zeros(shift), total])
    there = np.concatenate([total, np.zeros(shift)])
    kept = (here > 1e-280) & (there > 1e-280)
    here, there = np.log(here[kept]), np.log(there[kept])
    for order, claimed in zip(ORDERS[:4], mechanism.renyi(ORDERS[:4]), strict=True):
        true = np.logaddexp.reduce(order * here + (1 - order) * there) / (order - 1)
        assert true <= claimed * (1 + 1e-6) + 1e-9
    width = len(total) // 2
    one = discrete_gaussian(deviation * sqrt(honest))
    middle = np.arange(-3, 4)
    ratio = np.log(total[width + middle] / one[len(one) // 2 + middle])
    assert np.abs(ratio).max() <= mechanism.tau + 1e-12


def test_discrete_noise_becomes_gaussian_as_its_grid_gets_fine() -> None:
    fine = DistributedGaussian(noise_multiplier=0.5, honest=16, dimension=10, granularity=1e-4)
    assert fine.tau < 1e-30
    gaussian = SampledGaussian(noise_multiplier=2.0)
    assert fine.renyi(ORDERS) == pytest.approx(gaussian.renyi(ORDERS), rel=1e-3)
    epsilon = epsilon_and_accountant(fine, 1e-5)[0]
    exact = epsilon_of(0.5, 1e-5)
    assert exact < epsilon < 1.15 * exact
    assert (profile_of(fine).delta(EPSILONS) >= profile_of(gaussian).delta(EPSILONS)).all()


def test_fewer_honest_clients_and_coarser_grids_protect_less() -> None:
    def epsilon(**changes: object) -> float:
        values = {"noise_multiplier": 0.3, "honest": 20, "dimension": 500, "granularity": 0.02}
        return epsilon_and_accountant(DistributedGaussian(**{**values, **changes}), 1e-5)[0]

    assert epsilon(honest=10) > epsilon()
    assert epsilon(granularity=0.1) > epsilon()
    assert epsilon(adjacency="replace") > epsilon()
    assert epsilon(rounding="stochastic") > epsilon() > epsilon(granularity=1e-5)
    assert epsilon(granularity=0.7) == inf
    with pytest.raises(RefusedError, match="takes its noise with it"):
        DistributedGaussian(
            noise_multiplier=1.0, honest=2, dimension=2, granularity=0.1, adjacency="add-remove"
        )


def test_rounded_contributions_keep_to_their_norm_and_sums_to_their_range() -> None:
    rng, d, g = np.random.default_rng(2), 400, 0.05
    x = rng.normal(size=(200, d))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    rounded = g * np.floor(x / g + rng.random(x.shape))
    norms = np.linalg.norm(rounded, axis=1)
    made = {
        way: DistributedGaussian(
            noise_multiplier=0.2, honest=8, dimension=d, granularity=g, rounding=way
        )
        for way in ("conditional", "stochastic", "nearest")
    }
    assert (norms <= made["conditional"].rounded_norm).mean() >= 1 - exp(-0.5)
    assert (norms <= made["stochastic"].rounded_norm).all()
    nearest = np.linalg.norm(g * np.rint(x / g), axis=1)
    assert (nearest <= made["nearest"].rounded_norm).all()
    tight = made["nearest"].wrap_probability(600, 8)
    assert 0 < made["nearest"].wrap_probability(700, 8) < tight < 1
    assert made["nearest"].wrap_probability(16, 8) == 1.0


@settings(max_examples=40, deadline=None)
@given(
    sigmas=st.lists(st.floats(0.1, 5), min_size=1, max_size=6),
    max_norm=st.floats(0.1, 3),
    seed=st.integers(0, 1000),
    capped=st.booleans(),
)
def test_whitened_sensitivity_is_the_largest_over_the_clip_set(
    sigmas: list[float], max_norm: float, seed: int, *, capped: bool
) -> None:
    rng, d = np.random.default_rng(seed), len(sigmas)
    sigma, scales = np.array(sigmas), rng.uniform(0.2, 2, d)
    caps = rng.uniform(0.05, 1.5, d) if capped else np.full(d, inf)
    found = whitened_sensitivity(sigma, max_norm=max_norm, scales=scales, caps=caps)
    best = linprog(
        -1 / sigma**2,
        A_ub=[1 / scales**2],
        b_ub=[max_norm**2],
        bounds=[(0, None if c == inf else c**2) for c in caps],
    )
    assert found == pytest.approx(sqrt(-best.fun), rel=1e-6)
    change = rng.normal(size=(200, d))
    change *= max_norm / np.linalg.norm(change / scales, axis=1, keepdims=True)
    change = np.clip(change, -caps, caps)
    assert np.linalg.norm(change / sigma, axis=1).max() <= found * (1 + 1e-9)


def test_unequal_noise_is_worth_its_quietest_coordinate_unless_clipping_is_whitened() -> None:
    mu = mu_of(1.5, 1e-5)
    sigma = np.exp(np.random.default_rng(0).normal(0, 1, 1000))
    sigma *= 1 / mu / sigma.mean()
    naive = per_coordinate_gaussian(sigma, max_norm=1.0)
    assert epsilon_and_accountant(naive, 1e-5)[0] == pytest.approx(
        epsilon_of(1 / sigma.min(), 1e-5)
    )
    assert epsilon_and_accountant(naive, 1e-5)[0] > 200
    whitened = per_coordinate_gaussian(sigma, max_norm=1.0, scales=sigma * mu)
    assert epsilon_and_accountant(whitened, 1e-5)[0] == pytest.approx(1.5)
    # The quiet-coordinate attack: one number decides, as well as the bound allows.
    n, quiet = 200_000, float(sigma.min())
    rng = np.random.default_rng(3)
    absent, present = (m + quiet * rng.normal(size=n) for m in (0.0, 1.0))
    accuracy = ((absent < 0.5).mean() + (present > 0.5).mean()) / 2
    assert accuracy == pytest.approx(profile_of(naive).max_accuracy(), abs=2e-3)


def test_what_is_not_noised_or_bounded_is_not_protected() -> None:
    assert whitened_sensitivity([1.0, 0.0], max_norm=1.0) == inf
    assert whitened_sensitivity([1.0, 0.0], max_norm=1.0, caps=[1.0, 0.0]) == pytest.approx(1.0)
    assert whitened_sensitivity([1.0], caps=[inf]) == inf
    assert whitened_sensitivity([2.0, 1.0], caps=[2.0, 2.0]) == pytest.approx(sqrt(5))
    assert epsilon_and_accountant(per_coordinate_gaussian([1.0, 0.0], max_norm=1.0), 0.1)[0] == inf
    with pytest.raises(UsageError, match="noise of a coordinate"):
        whitened_sensitivity([1.0, float("nan")], max_norm=1.0)


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
