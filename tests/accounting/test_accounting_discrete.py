"""Distributed discrete noise beside sums of discrete Gaussians, counted out."""

from math import exp, inf, pi, sqrt

import numpy as np
import pytest

from seepage.accounting.composed import compose
from seepage.accounting.distributed_gaussian import DistributedGaussian
from seepage.accounting.gaussian import epsilon_of
from seepage.accounting.laplace import Laplace
from seepage.accounting.pld import loss_profile
from seepage.accounting.rdp import rdp_epsilon
from seepage.accounting.record import epsilon_and_accountant, profile_of
from seepage.accounting.sampled_gaussian import SampledGaussian
from seepage.core.errors import RefusedError

EPSILONS = np.array([0.0, 0.1, 0.3, 0.7, 1.5, 4.0])
ORDERS = np.array([1.001, 1.5, 2.0, 5.0, 32.0])


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


def test_each_bound_of_the_theorem_counts_where_it_is_the_least() -> None:
    # Two clients, four coordinates, a grid of one step: D2 = 1 + 2/2, D1 = min(2 D2, D2^2) = 4.
    mechanism = DistributedGaussian(
        noise_multiplier=0.8, honest=2, dimension=4, granularity=1.0, rounding="nearest"
    )
    tau = 10 * exp(-2 * pi**2 * 0.64 / 2)
    one, two = 4 / (0.8 * sqrt(2)), 2 / (0.8 * sqrt(2))
    assert mechanism.tau == pytest.approx(tau)
    low, high = mechanism.renyi(np.array([1.01, 1000.0]))
    assert low == pytest.approx(1.01 / 2 * (two + 2 * tau) ** 2)
    assert low < 1.01 / 2 * (two**2 + 2 * one * tau + 4 * tau**2) + 1e-12
    assert high == pytest.approx(500 * two**2 + 4 * tau)


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
    # Coordinates just past half a step all round away from zero, and reach the bound.
    unlucky = np.full(d, 0.05 + 1e-9)
    coarse = DistributedGaussian(
        noise_multiplier=0.2, honest=8, dimension=d, granularity=0.1, rounding="nearest"
    )
    assert np.linalg.norm(0.1 * np.rint(unlucky / 0.1)) == pytest.approx(coarse.rounded_norm)
    tight = made["nearest"].wrap_probability(600, 8)
    assert 0 < made["nearest"].wrap_probability(700, 8) < tight < 1
    assert made["nearest"].wrap_probability(16, 8) == 1.0


def test_renyi_bounds_are_composed_before_they_become_a_distribution() -> None:
    def part(releases: int, honest: int) -> DistributedGaussian:
        return DistributedGaussian(
            noise_multiplier=0.5,
            honest=honest,
            dimension=10,
            granularity=0.01,
            releases=releases,
        )

    both = compose([part(20, 15), part(20, 16)])
    by_loss = loss_profile(both, 1e-5).epsilon(1e-5)
    assert by_loss == pytest.approx(rdp_epsilon(both, 1e-5), rel=0.01)
    # Far beyond what a distribution can hold, the Renyi bound still stands, alone and beside.
    huge = part(20_000, 1)
    for mechanism in (huge, compose([huge, Laplace(noise_multiplier=1.0)])):
        epsilon, accountant = epsilon_and_accountant(mechanism, 1e-5)
        assert 500 < epsilon < inf
        assert accountant.startswith("RDP")
        assert profile_of(mechanism).rero(0.01) == 1.0
        assert profile_of(mechanism).information_bits == mechanism.divergence_bits() < inf
