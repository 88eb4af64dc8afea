"""Composed, sampled Gaussians: anchors, monotonicity, and two independent checks."""

from math import log, sqrt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from seepage.accounting.gaussian import epsilon_of, mu_of, sampled_epsilon_of
from seepage.accounting.pld import loss_profile
from seepage.accounting.rdp import rdp_epsilon
from seepage.accounting.record import epsilon_and_accountant
from seepage.accounting.sampled_gaussian import SampledGaussian

STANDARD = SampledGaussian(noise_multiplier=1.0, sample_rate=0.1, releases=500)
FEW = settings(max_examples=15, deadline=None)


def total(**changes: object) -> float:
    values = {"noise_multiplier": 1.0, "sample_rate": 0.1, "releases": 50, **changes}
    return epsilon_and_accountant(SampledGaussian(**values), 1e-5)[0]


def test_accountants_agree_with_the_published_figures() -> None:
    epsilon, accountant = epsilon_and_accountant(STANDARD, 1e-5)
    assert epsilon == pytest.approx(16.56, abs=0.03)
    assert accountant.startswith("PLD (dp-accounting ")
    assert 18.0 <= rdp_epsilon(STANDARD, 1e-5) <= 18.2
    assert epsilon > 16.18  # what the central limit of Gaussian DP would claim
    assert total(releases=500, adjacency="zero-out") == pytest.approx(epsilon, rel=1e-6)
    assert total(releases=500, adjacency="replace") == pytest.approx(28.6, abs=0.1)


def test_the_grid_is_refined_until_it_settles() -> None:
    mechanism = SampledGaussian(noise_multiplier=20, sample_rate=0.001, releases=100_000)
    epsilon, accountant = epsilon_and_accountant(mechanism, 1e-5)
    assert rdp_epsilon(mechanism, 1e-5) == pytest.approx(0.0515, abs=0.0005)
    assert epsilon == pytest.approx(0.0453, abs=0.0005)
    assert accountant.startswith("PLD")


@pytest.mark.parametrize(("sigma", "epsilon"), [(7.17, 1.2), (5.88, 1.5), (4.58, 2.0), (3.78, 2.5)])
def test_calibrations_give_the_epsilon_they_were_made_for(sigma: float, epsilon: float) -> None:
    assert total(noise_multiplier=sigma, releases=500) == pytest.approx(epsilon, rel=0.01)


@pytest.mark.parametrize(("adjacency", "epsilon"), [("zero-out", 5.4), ("replace", 12.6)])
def test_no_amplification_against_who_knows_the_participants(
    adjacency: str, epsilon: float
) -> None:
    against_the_server = total(
        noise_multiplier=5.885, sample_rate=1.0, releases=50, adjacency=adjacency
    )
    assert against_the_server == pytest.approx(epsilon, abs=0.06)


@FEW
@given(mu=st.floats(0.05, 3), releases=st.integers(1, 400))
def test_distribution_without_sampling_is_exact_gaussian_dp(mu: float, releases: int) -> None:
    mechanism = SampledGaussian(noise_multiplier=1 / mu, releases=releases)
    exact = epsilon_of(mu * sqrt(releases), 1e-5)
    assert loss_profile(mechanism, 1e-5).epsilon(1e-5) == pytest.approx(exact, rel=0.01)


@pytest.mark.parametrize("epsilon", [650, 709, 715, 730, 744, 750, 3000, 1e5])
def test_epsilons_whose_exponentials_underflow_stay_exact(epsilon: float) -> None:
    mechanism = SampledGaussian(noise_multiplier=1 / mu_of(epsilon, 1e-5) * 2, releases=4)
    assert loss_profile(mechanism, 1e-5).epsilon(1e-5) == pytest.approx(epsilon, rel=0.01)


@FEW
@given(sigma=st.floats(0.4, 5), rate=st.floats(0.001, 0.99))
def test_distribution_of_one_release_is_never_below_the_exact_one(
    sigma: float, rate: float
) -> None:
    mechanism = SampledGaussian(noise_multiplier=sigma, sample_rate=rate)
    exact = sampled_epsilon_of(1 / sigma, rate, 1e-5)
    pessimistic = loss_profile(mechanism, 1e-5).epsilon(1e-5)
    assert exact * (1 - 1e-9) <= pessimistic <= exact * 1.01 + 1e-6


@FEW
@given(
    sigma=st.floats(0.5, 8),
    rate=st.floats(0.005, 0.5),
    releases=st.integers(2, 1000),
    more=st.floats(1.2, 3),
)
def test_epsilon_is_monotone(sigma: float, rate: float, releases: int, more: float) -> None:
    here = total(noise_multiplier=sigma, sample_rate=rate, releases=releases)
    slack = 0.99  # of the grid
    assert total(noise_multiplier=sigma * more, sample_rate=rate, releases=releases) <= here / slack
    assert total(noise_multiplier=sigma, sample_rate=rate, releases=2 * releases) >= here * slack
    doubled = min(1.0, 2 * rate)
    assert total(noise_multiplier=sigma, sample_rate=doubled, releases=releases) >= here * slack
    unsampled = total(noise_multiplier=sigma, sample_rate=1.0, releases=releases)
    assert here <= unsampled / slack


@pytest.mark.parametrize("sigma", [1e-9, 1e-3, 0.02, 1e6])
def test_extreme_noise_gives_a_finite_epsilon(sigma: float) -> None:
    assert 0 <= total(noise_multiplier=sigma) < float("inf")
    assert 0 <= total(noise_multiplier=sigma, adjacency="replace") < float("inf")


def test_a_delta_below_the_distributions_tails_falls_back_on_renyi() -> None:
    mechanism = SampledGaussian(noise_multiplier=1.0, sample_rate=0.1, releases=10)
    epsilon, accountant = epsilon_and_accountant(mechanism, 1e-17)
    assert epsilon == pytest.approx(rdp_epsilon(mechanism, 1e-17))
    assert accountant.startswith("RDP")


@pytest.mark.parametrize("adjacency", ["add-remove", "replace"])
def test_divergence_is_that_of_the_mixtures(adjacency: str) -> None:
    rate, sigma, releases = 0.3, 1.2, 7
    other = -1.0 if adjacency == "replace" else 0.0

    def density(x: float, mean: float) -> float:
        return (1 - rate) * norm.pdf(x, 0, sigma) + rate * norm.pdf(x, mean, sigma)

    def divergence(p: float, q: float) -> float:
        return quad(lambda x: density(x, p) * log(density(x, p) / density(x, q)), -12, 12)[0]

    mechanism = SampledGaussian(
        noise_multiplier=sigma, sample_rate=rate, releases=releases, adjacency=adjacency
    )
    nats = max(divergence(1.0, other), divergence(other, 1.0))
    assert mechanism.divergence_bits() == pytest.approx(releases * nats / log(2), rel=1e-6)


def test_known_releases_lie_between_sampled_and_whole() -> None:
    def epsilon(known: int) -> float:
        mechanism = SampledGaussian(
            noise_multiplier=1.0, sample_rate=0.05, releases=20, known=known
        )
        return epsilon_and_accountant(mechanism, 1e-5)[0]

    steps = [epsilon(known) for known in (0, 1, 5, 19, 20)]
    assert steps == sorted(steps)
    assert steps[-1] == pytest.approx(epsilon_of(sqrt(20), 1e-5))
    # Nineteen whole releases alone are a floor that one more, sampled, hardly lifts.
    assert steps[-2] == pytest.approx(epsilon_of(sqrt(19), 1e-5), rel=0.03)
