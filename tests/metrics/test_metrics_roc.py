import numpy as np
import pytest
from scipy.stats import norm

from seepage.metrics.membership import TPR
from seepage.metrics.roc import roc

FPRS = np.array([0.001, 0.01, 0.1, 0.5, 1.0])


def test_points_are_the_rates_at_each_false_positive_rate() -> None:
    rng = np.random.default_rng(0)
    members, others = rng.normal(1.0, 1.0, 800), rng.normal(size=1500)
    found = roc(members, others, FPRS, rng)
    assert [p[0] for p in found] == [0.01, 0.1, 0.5, 1.0]
    for fpr, value, low, high in found:
        assert value == TPR.of(members, others, fpr, rng).value if fpr < 1 else value == 1
        assert low <= value <= high
    assert [p[1] for p in found] == sorted(p[1] for p in found)
    assert roc(members, others[:5], FPRS, rng) == ()


def test_limits_hold_the_true_curve() -> None:
    rng = np.random.default_rng(1)
    fprs = np.array([0.05, 0.3])
    truth = norm.cdf(norm.ppf(fprs) + 1)
    misses = np.zeros(2)
    for _ in range(60):
        found = roc(rng.normal(1.0, 1.0, 300), rng.normal(size=300), fprs, rng)
        misses += [not low <= t <= high for t, (_, _, low, high) in zip(truth, found, strict=True)]
    assert (misses <= 7).all(), misses


@pytest.mark.parametrize("shift", [50.0, -50.0])
def test_separated_scores_reach_the_corners(shift: float) -> None:
    rng = np.random.default_rng(2)
    found = roc(rng.normal(shift, 1.0, 100), rng.normal(size=100), np.array([0.1, 0.5]), rng)
    assert {p[1] for p in found} == {float(shift > 0)}
