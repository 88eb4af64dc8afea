import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from seepage.core import intervals


@given(st.integers(1, 200), st.floats(0, 1), st.sampled_from([0.8, 0.95, 0.999]))
@settings(max_examples=60, deadline=None)
def test_clopper_pearson_is_scipys(n: int, share: float, level: float) -> None:
    hits = round(n * share)
    exact = binomtest(hits, n).proportion_ci(level)
    assert intervals.clopper_pearson(hits, n, level) == pytest.approx((exact.low, exact.high))


def test_as_many_units_as_are_asked_for_bound_the_rate() -> None:
    for findings in (1, 4, 20):
        n = intervals.units_for_clear(0.05, findings)
        level = 1 - 0.05 / findings
        assert intervals.clopper_pearson(0, n, level)[1] <= 0.05
        assert intervals.clopper_pearson(0, n - 1, level)[1] > 0.05


def test_batches_that_stand_or_fall_together_are_counted_once() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        rate = intervals.Rate((rng.random(40) < 0.1).astype(float))
        low, high = rate.interval()
        covered += low <= 0.1 <= high
    assert covered >= 0.95 * 300 - 10


def test_difference_covers() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(400):
        a = intervals.Rate((rng.random(100) < 0.3).astype(float))
        b = intervals.Rate((rng.random(100) < 0.1).astype(float))
        low, high = intervals.Difference(a, b).interval()
        covered += low <= 0.2 <= high
    assert covered >= 0.93 * 400


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
@settings(max_examples=50, deadline=None)
def test_holm_rejects_at_least_what_bonferroni_does(p_values: list[float]) -> None:
    rejected = intervals.holm(p_values)
    for p, fell in zip(p_values, rejected, strict=True):
        assert fell or p > 0.05 / len(p_values)
        assert not fell or p <= 0.05


def test_p_value_inverts_the_interval() -> None:
    rate = intervals.Rate(np.r_[np.ones(12), np.zeros(88)])
    p = intervals.p_value(lambda level: rate.interval(level)[0] > 0.05)
    assert p / 2 == pytest.approx(binomtest(12, 100, 0.05, "greater").pvalue, rel=2e-3)
    assert intervals.p_value(lambda _: False) == 1.0


def test_bootstrap_covers_a_mean() -> None:
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(200):
        sample = rng.normal(1.0, 1.0, 60)
        low, high = intervals.bootstrap(lambda x: x.mean(1), [sample], rng, 500).interval()
        covered += low <= 1.0 <= high
    assert covered >= 180
