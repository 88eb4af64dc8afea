"""Bounds on attacks: closed forms, and cases in which an attack attains them."""

from math import exp, inf, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import logsumexp
from scipy.stats import norm

from seepage.accounting.api import METRICS, success_bound
from seepage.accounting.bounds import CurveProfile, GaussianProfile, Replaced, Unprotected
from seepage.accounting.gaussian import delta_of, mu_of
from seepage.accounting.record import profile_of
from seepage.accounting.sampled_gaussian import SampledGaussian
from seepage.core.errors import UsageError


class OnAGrid(CurveProfile):
    """Gaussian DP known on a grid alone: the general way beside the closed form."""

    def __init__(self, mu: float) -> None:
        self.mu = mu

    information_bits = 0.0

    def delta(self, epsilon: np.ndarray) -> np.ndarray:
        return delta_of(epsilon, self.mu)

    @property
    def curve(self) -> tuple[np.ndarray, np.ndarray]:
        epsilon = np.linspace(0, self.mu**2 / 2 + 8 * self.mu, 3000)
        return epsilon, self.delta(epsilon)


@pytest.mark.parametrize(
    ("quoted", "releases", "bits", "rero"),
    [
        (1.5, 1, 0.11, 0.026),
        (1.5, 500, 54, 1.0),
        (2.0, 100, 18, 0.996),
        (2.5, 100, 27, 1.0),
    ],
)
def test_what_a_quoted_epsilon_gives_away(
    quoted: float, releases: int, bits: float, rero: float
) -> None:
    profile = GaussianProfile(mu_of(quoted, 1e-5) * sqrt(releases))
    assert profile.information_bits == pytest.approx(bits, rel=0.03)
    assert profile.rero(0.01) == pytest.approx(rero, abs=5e-4)


@pytest.mark.parametrize(("accuracy", "epsilon"), [(0.76, 6.6), (0.82, 9.0), (0.89, 12.9)])
def test_an_accuracy_on_a_bit_needs_this_epsilon(accuracy: float, epsilon: float) -> None:
    assert GaussianProfile(mu_of(epsilon - 0.1, 1e-5)).max_accuracy() < accuracy
    assert GaussianProfile(mu_of(epsilon + 0.1, 1e-5)).max_accuracy() > accuracy


@settings(max_examples=20, deadline=None)
@given(mu=st.floats(0.05, 6), rate=st.floats(1e-4, 0.5))
def test_the_general_way_gives_the_closed_forms(mu: float, rate: float) -> None:
    exact, general = GaussianProfile(mu), OnAGrid(mu)
    for value, bound in (
        (exact.rero(rate), general.rero(rate)),
        (exact.max_tpr(rate), general.max_tpr(rate)),
        (exact.max_auc(), general.max_auc()),
        (exact.max_accuracy(), general.max_accuracy()),
    ):
        assert value - 1e-9 <= bound <= value + 2e-3


@given(st.floats(0.05, 4), st.floats(0.001, 0.999))
def test_a_replaced_unit_is_twice_as_far_as_one_left_out(mu: float, rate: float) -> None:
    found, twice = Replaced(GaussianProfile(mu)), GaussianProfile(2 * mu)
    assert found.max_tpr(rate) == pytest.approx(twice.max_tpr(rate), abs=1e-9)
    epsilons = np.linspace(0, 6, 13)
    assert (found.delta(epsilons) >= twice.delta(epsilons) - 1e-12).all()
    assert (found.delta(epsilons) <= 1).all()


def test_a_gaussian_mean_test_attains_the_bounds() -> None:
    rng, mu, n = np.random.default_rng(0), 1.3, 400_000
    profile = GaussianProfile(mu)
    absent, present = rng.normal(size=n), mu + rng.normal(size=n)
    accuracy = ((absent < mu / 2).mean() + (present > mu / 2).mean()) / 2
    assert accuracy == pytest.approx(profile.max_accuracy(), abs=3e-3)
    threshold = norm.ppf(0.99)
    assert (present > threshold).mean() == pytest.approx(profile.max_tpr(0.01), abs=3e-3)
    assert (present > absent).mean() == pytest.approx(profile.max_auc(), abs=3e-3)


def test_antipodal_candidates_attain_rero_and_orthogonal_ones_stay_below() -> None:
    rng, mu, n = np.random.default_rng(1), 1.1, 400_000
    secret = rng.choice([-1, 1], size=n)
    guess = np.sign(mu * secret + rng.normal(size=n))
    assert (guess == secret).mean() == pytest.approx(GaussianProfile(mu).rero(0.5), abs=3e-3)
    for candidates, reached in ((100, 0.323), (1000, 0.120)):
        success = quad(lambda z, n=candidates: norm.pdf(z) * norm.cdf(z + 2) ** (n - 1), -9, 9)[0]
        assert success == pytest.approx(reached, abs=2e-3)
        assert success < GaussianProfile(2.0).rero(1 / candidates)


def test_pure_noise_allows_the_prior_and_no_noise_allows_all() -> None:
    nothing, everything = GaussianProfile(0.0), Unprotected()
    for profile, expected in ((nothing, 0.25), (everything, 1.0)):
        assert profile.rero(0.25) == pytest.approx(expected)
        assert profile.max_tpr(0.25) == pytest.approx(expected)
    assert nothing.max_auc() == nothing.max_accuracy() == pytest.approx(0.5)
    assert everything.max_auc() == everything.max_accuracy() == 1.0
    assert (nothing.information_bits, everything.information_bits) == (0.0, inf)


@pytest.mark.parametrize("fpr", [1e-3, 1e-2, 0.1])
def test_one_sampled_release_is_bounded_by_its_best_test(fpr: float) -> None:
    rate, sigma = 0.2, 0.8
    mechanism = SampledGaussian(noise_multiplier=sigma, sample_rate=rate)
    threshold = sigma * norm.isf(fpr)
    best = (1 - rate) * fpr + rate * norm.sf((threshold - 1) / sigma)
    bound = profile_of(mechanism).max_tpr(fpr)
    assert best - 1e-12 <= bound <= best * 1.01


def scores(rng: np.random.Generator, *, member: bool, known: int, n: int) -> np.ndarray:
    """Return the likelihood ratio of 12 sampled releases, `known` of them surely entered."""
    rate, sigma, releases = 0.15, 0.9, 12
    entered = rng.random((n, releases)) < rate
    entered[:, :known] = True
    x = sigma * rng.normal(size=(n, releases)) + member * entered
    exponent = (2 * x - 1) / (2 * sigma**2)
    rates = np.array([1.0] * known + [rate] * (releases - known))
    with np.errstate(divide="ignore"):
        both = np.stack([np.log1p(-rates) + 0 * x, np.log(rates) + exponent])
    return logsumexp(both, axis=0).sum(axis=1)


@pytest.mark.parametrize("known", [0, 2])
def test_composed_sampled_releases_are_bounded_by_their_best_test(known: int) -> None:
    rng, n = np.random.default_rng(2), 200_000
    absent = scores(rng, member=False, known=known, n=n)
    present = scores(rng, member=True, known=known, n=n)
    tpr = float((present > np.quantile(absent, 0.99)).mean())
    mechanism = SampledGaussian(noise_multiplier=0.9, sample_rate=0.15, releases=12, view=2)
    profile = profile_of(mechanism)
    profile = profile.given_sampled if known else profile
    bound = profile.max_tpr(0.01)
    assert tpr - 0.005 <= bound <= tpr + 0.01


def test_identification_is_bounded_given_that_the_record_was_sampled() -> None:
    mechanism = SampledGaussian(noise_multiplier=0.5, sample_rate=0.01, releases=1)
    profile = profile_of(mechanism)
    assert success_bound(profile, "identification_rate", 0.01) == pytest.approx(
        GaussianProfile(2.0).rero(0.01)
    )
    assert success_bound(profile, "tpr_at_1pct_fpr", 0.01) < 0.03
    plain = GaussianProfile(1.0)
    values = [success_bound(plain, metric, 0.01) for metric in METRICS]
    assert values == [plain.rero(0.01), plain.max_tpr(0.01), plain.max_tpr(0.001), plain.max_auc()]


def test_large_total_losses_do_not_overflow() -> None:
    mechanism = SampledGaussian(noise_multiplier=0.3, sample_rate=0.5, releases=3000)
    profile = profile_of(mechanism)
    assert profile.rero(0.001) == pytest.approx(1.0)
    assert profile.max_auc() == pytest.approx(1.0)
    assert exp(-1) < profile.max_accuracy() <= 1.0


@pytest.mark.parametrize("call", [("shoe-size", 0.1), ("identification_rate", 1.5)])
def test_unknown_metrics_and_priors_are_usage_errors(call: tuple[str, float]) -> None:
    with pytest.raises(UsageError):
        success_bound(GaussianProfile(1.0), *call)
