"""Lower bounds on epsilon: exact agreement, their level and their power."""

from collections.abc import Sequence
from math import inf
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import binom, hypergeom

from seepage.accounting import LowerBound, epsilon_lower_bound, epsilon_record, gdp_estimate
from seepage.accounting.bounds import GaussianProfile
from seepage.accounting.gaussian import mu_of
from seepage.accounting.lower_bounds.auditor import Canaries
from seepage.accounting.lower_bounds.f_dp import FDP
from seepage.accounting.lower_bounds.multi_run import MultiRun
from seepage.accounting.lower_bounds.one_run import OneRun
from seepage.accounting.lower_bounds.steinke import Steinke
from seepage.accounting.record import profile_of
from seepage.accounting.sampled_gaussian import SampledGaussian

DELTA = 1e-5
WAYS: dict[str, dict[str, Any]] = {
    "f-dp": {"method": "f-dp"},
    "steinke": {"method": "steinke"},
    "clopper-pearson": {"method": "clopper-pearson", "independent_runs": True},
}


def scores(seed: int, canaries: int, mu: float) -> tuple[np.ndarray, np.ndarray]:
    """Return scores of the best attack on a mu-GDP mechanism, coins tossed for membership."""
    rng = np.random.default_rng(seed)
    inside = rng.random(canaries) < 0.5
    found = mu * inside + rng.standard_normal(canaries)
    return found[inside], found[~inside]


def answers(seed: int, canaries: int, epsilon: float) -> tuple[np.ndarray, np.ndarray]:
    """Return scores of pure randomized response: an answer a canary, ties broken by lot."""
    rng = np.random.default_rng(seed)
    inside = rng.random(canaries) < 0.5
    lie = rng.random(canaries) > 1 / (1 + np.exp(-epsilon))
    found = (inside ^ lie) + 1e-6 * rng.random(canaries)
    return found[inside], found[~inside]


def too_many(audits: int, rate: float = 0.05) -> int:
    """Return a number of misses that `audits` at their level exceed once in 1,000 tests."""
    return int(binom.isf(1e-3, audits, rate))


@pytest.mark.parametrize(
    ("canaries", "guesses", "right", "delta", "confidence", "steinke", "f_dp"),
    [
        (2000, 1000, 638, 1e-5, 0.95, 0.45617143234166857, 0.7717404882907545),
        (2000, 200, 197, 1e-5, 0.95, 3.2039658626027068, 4.935118023201547),
        (500, 50, 50, 1e-5, 0.95, 2.770507062387002, 4.442462263984652),
        (1000, 250, 240, 1e-6, 0.99, 2.455506182960192, 4.083924972270285),
        (100, 32, 29, 1e-5, 0.9, 1.4044003650245547, 2.7624912425245216),
        (5000, 1250, 760, 1e-7, 0.95, 0.34215341497543217, 0.6645977123948471),
        (2000, 500, 265, 1e-5, 0.95, 0.0, 0.0),
        (400, 400, 260, 1e-5, 0.95, 0.44195538280886976, 0.9102058492368321),
    ],
)
def test_one_run_bounds_agree_with_jax_privacy(
    canaries: int,
    guesses: int,
    right: int,
    delta: float,
    confidence: float,
    steinke: float,
    f_dp: float,
) -> None:
    """Figures of jax-privacy 2.0.0 (jax 0.10.2, numpy 2.4.6, scipy 1.17.1), Python 3.11.

    `a = auditing.CanaryScoreAuditor(inside, outside)` with `right` ones among `inside` and
    `guesses - right` among `outside`, the others 0, and `a.epsilon_one_run` and
    `a.epsilon_one_run_fdp` of `significance=1 - confidence, delta=delta,
    threshold_strategy=auditing.Explicit(0.5)`. The first three rows are the median counts of
    five simulated audits at true epsilon 1.5, 8 and 23.3.
    """
    for auditor, expected in ((Steinke(), steinke), (FDP(), f_dp)):
        sides = Canaries(canaries // 2, canaries - canaries // 2)
        level = {"delta": delta, "significance": 1 - confidence}
        assert auditor.bound(sides, guesses, right, **level) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("members", "others", "right", "false_positives", "delta", "confidence", "expected"),
    [
        (1000, 1000, 311, 20, 1e-5, 0.95, 2.218378744693932),
        (500, 800, 500, 0, 1e-6, 0.95, 5.374214884123354),
        (200, 100, 199, 50, 0.0, 0.99, 2.311490100630187),
        (50, 50, 1, 1, 1e-5, 0.95, 0.0),
        (3000, 1000, 2100, 300, 1e-5, 0.9, 0.7654495543066313),
    ],
)
def test_the_multi_run_bound_agrees_with_jax_privacy(
    members: int,
    others: int,
    right: int,
    false_positives: int,
    delta: float,
    confidence: float,
    expected: float,
) -> None:
    """As above: `a.epsilon_clopper_pearson(1 - confidence, delta, one_sided=False, ...)`."""
    inside = np.r_[np.full(right, 2.0), np.zeros(members - right)]
    outside = np.r_[np.full(false_positives, 2.0), np.ones(others - false_positives)]
    found = epsilon_lower_bound(
        inside,
        outside,
        delta=delta,
        confidence=confidence,
        guesses=false_positives,
        **WAYS["clopper-pearson"],
    )
    assert found.epsilon == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("guesses", [None, (8, 32), 48])
@pytest.mark.parametrize("way", WAYS)
def test_null_scores_show_nothing_but_at_the_level(way: str, guesses: Sequence[int] | None) -> None:
    positive = sum(
        epsilon_lower_bound(
            *scores(seed, 160, 0.0), delta=DELTA, guesses=guesses, **WAYS[way]
        ).epsilon
        > 0
        for seed in range(1000)
    )
    assert positive <= 64


@pytest.mark.parametrize("canaries", [64, 160, 300, 600, 1000])
def test_members_drawn_as_exactly_half_keep_the_level(canaries: int) -> None:
    half = canaries // 2
    sides = Canaries(half, half)
    guesses = Steinke().default_guesses(sides)
    level = {"delta": DELTA, "significance": 0.05}
    needed = next(v for v in range(guesses) if Steinke().bound(sides, guesses, v, **level))
    top, bottom = guesses - guesses // 2, guesses // 2
    hits = np.arange(top + 1)
    rest = hypergeom.sf(needed - hits - 1, canaries - top, half - top + hits, bottom)
    assert float(hypergeom.pmf(hits, canaries, half, top) @ rest) <= 0.05


@pytest.mark.parametrize("epsilon", [0.5, 1.5, 8.0])
@pytest.mark.parametrize("way", WAYS)
def test_bounds_exceed_the_truth_but_at_the_level(way: str, epsilon: float) -> None:
    mu, audits = mu_of(epsilon, DELTA), 200
    above = sum(
        epsilon_lower_bound(*scores(seed, 300, mu), delta=DELTA, **WAYS[way]).epsilon > epsilon
        for seed in range(audits)
    )
    assert above <= too_many(audits)


@pytest.mark.parametrize("epsilon", [0.5, 2.0])
def test_randomized_response_is_bounded_tightly_by_steinke_and_not_by_a_gaussian_curve(
    epsilon: float,
) -> None:
    audits, canaries = 200, 1000
    found = [
        epsilon_lower_bound(
            *answers(seed, canaries, epsilon), delta=0.0, method="steinke", guesses=canaries
        )
        for seed in range(audits)
    ]
    shown = np.array([audit.epsilon for audit in found])
    assert (shown > epsilon).sum() <= too_many(audits)
    power = found[0].power_at(epsilon, mechanism="randomized-response")
    assert float(np.median(shown)) == pytest.approx(power, rel=0.05)
    assert power > 0.6 * epsilon
    gaussian = epsilon_lower_bound(*answers(0, canaries, epsilon), delta=DELTA)
    assert gaussian.epsilon > epsilon
    assert "Gaussian" in gaussian.holds_if


@pytest.mark.parametrize(
    ("noise", "rate", "steps"),
    [(1.0, 0.05, 80), (1.0, 0.01, 1000), (0.6, 0.01, 1), (2.0, 0.1, 500)],
)
def test_sampled_gaussian_releases_lie_above_the_gaussian_curve_that_f_dp_tests(
    noise: float, rate: float, steps: int
) -> None:
    sampled = SampledGaussian(noise_multiplier=noise, sample_rate=rate, releases=steps)
    record = epsilon_record(noise, sample_rate=rate, releases=steps, delta=DELTA)
    fpr = np.r_[np.geomspace(2 * DELTA, 0.01, 30), np.linspace(0.02, 0.99, 60)]
    gaussian = GaussianProfile(mu_of(record.total_epsilon, DELTA)).trade_off(fpr)
    assert (profile_of(sampled).trade_off(fpr) >= gaussian).all()


@pytest.mark.parametrize(("canaries", "epsilon"), [(300, 4.0), (1000, 1.5), (1000, 8.0)])
@pytest.mark.parametrize("way", WAYS)
def test_power_is_the_median_of_audits(way: str, canaries: int, epsilon: float) -> None:
    mu = mu_of(epsilon, DELTA)
    found = [
        epsilon_lower_bound(*scores(seed, canaries, mu), delta=DELTA, **WAYS[way])
        for seed in range(101)
    ]
    low, high = np.quantile([audit.epsilon for audit in found], [0.35, 0.65])
    assert low - 0.02 <= found[0].power_at(epsilon) <= high + 0.02


@settings(max_examples=25, deadline=None)
@given(canaries=st.integers(64, 1500), epsilon=st.floats(0.2, 20), way=st.sampled_from(list(WAYS)))
@example(canaries=1467, epsilon=7.5, way="f-dp")
def test_more_canaries_have_more_power(canaries: int, epsilon: float, way: str) -> None:
    few, many = (
        epsilon_lower_bound(
            np.linspace(0, 1, n), np.linspace(0, 1, n), delta=DELTA, **WAYS[way]
        ).power_at(epsilon)
        for n in (canaries, 4 * canaries)
    )
    # Medians of whole numbers of right guesses: by a rounding, a few more may show a little less.
    assert 0.995 * few - 1e-9 <= many < epsilon


@settings(max_examples=40, deadline=None)
@given(
    canaries=st.integers(20, 800),
    guessed=st.floats(0, 1),
    hit=st.floats(0, 1),
    significance=st.floats(1e-3, 0.4),
    delta=st.floats(1e-9, 1e-2),
    auditor=st.sampled_from([FDP(), Steinke(), MultiRun()]),
)
def test_bounds_rise_with_the_evidence_and_fall_with_confidence(
    canaries: int,
    guessed: float,
    hit: float,
    significance: float,
    delta: float,
    auditor: FDP | Steinke | MultiRun,
) -> None:
    sides = Canaries(canaries // 2, canaries - canaries // 2)
    limit = canaries if isinstance(auditor, OneRun) else sides.non_members - 1
    guesses = 1 + int(guessed * (limit - 1))
    most = guesses if isinstance(auditor, OneRun) else sides.members
    right = int(hit * (most - 1))

    def bound(right: int, significance: float) -> float:
        return auditor.bound(sides, guesses, right, delta=delta, significance=significance)

    middle = bound(right, significance)
    assert bound(right, significance / 2) - 1e-9 <= middle <= bound(right + 1, significance) + 1e-9


def test_a_mechanism_without_noise_is_refuted_and_a_true_one_is_not() -> None:
    broken = epsilon_lower_bound(*scores(1, 500, 40.0), delta=DELTA)
    assert broken.epsilon == broken.power_at(inf) > 6
    sound = epsilon_lower_bound(*scores(1, 500, mu_of(1.5, DELTA)), delta=DELTA)
    assert sound.epsilon <= 1.5 < sound.power_at(8.0)
    assert "at least" in str(broken)
    assert "f-DP" in str(broken)


def test_trying_several_numbers_of_guesses_costs_confidence() -> None:
    ours, theirs = scores(3, 400, 2.0)
    alone = [epsilon_lower_bound(ours, theirs, delta=DELTA, guesses=g).epsilon for g in (40, 200)]
    tried = epsilon_lower_bound(ours, theirs, delta=DELTA, guesses=(200, 40, 40))
    assert tried.guesses == (40, 200)
    corrected = [
        epsilon_lower_bound(ours, theirs, delta=DELTA, guesses=g, confidence=0.975).epsilon
        for g in (40, 200)
    ]
    assert tried.epsilon == pytest.approx(max(corrected))
    assert tried.epsilon < max(alone)


@pytest.mark.parametrize("way", WAYS)
def test_ties_and_the_order_of_scores_tell_nothing(way: str) -> None:
    same = epsilon_lower_bound(np.ones(200), np.ones(210), delta=DELTA, **WAYS[way])
    assert same.epsilon == 0
    assert same.right[0] == 0
    ours, theirs = scores(5, 400, 2.5)
    coarse = [np.round(side) for side in (ours, theirs)]
    fine = epsilon_lower_bound(ours, theirs, delta=DELTA, **WAYS[way])
    tied = epsilon_lower_bound(*coarse, delta=DELTA, **WAYS[way])
    shuffled = epsilon_lower_bound(coarse[0][::-1], coarse[1][::-1], delta=DELTA, **WAYS[way])
    assert tied == shuffled
    assert tied.right[0] <= fine.right[0]
    told = epsilon_lower_bound(np.ones(200), np.zeros(200), delta=DELTA, **WAYS[way])
    assert told.epsilon == told.power_at(inf) > 2


def test_the_fit_finds_the_truth_and_calls_itself_an_estimate() -> None:
    for epsilon, canaries in ((1.5, 2000), (8.0, 2000), (23.3, 500)):
        mu = mu_of(epsilon, DELTA)
        fits = [gdp_estimate(*scores(seed, canaries, mu), delta=DELTA) for seed in range(200)]
        assert np.median([fit.epsilon for fit in fits]) == pytest.approx(epsilon, rel=0.05)
        missed = sum(not fit.low <= epsilon <= fit.high for fit in fits)
        assert missed <= too_many(len(fits))
    assert "not a lower bound" in str(fits[0])
    assert gdp_estimate([0.0, 1.0, 2.0], [1.0, 2.0, 3.0], delta=DELTA).epsilon == 0
    assert not isinstance(fits[0], LowerBound)
