"""Who is told, and whether groups differ: closed forms, and errors no oftener than stated."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from seepage.core.intervals import Rate
from seepage.metrics.balanced_accuracy import BalancedAccuracy
from seepage.metrics.homogeneity import homogeneity
from seepage.metrics.membership import AUC, tprs_at
from seepage.metrics.rank_correlation import RankCorrelation
from seepage.metrics.singled_out import accused_with

SCORES = st.lists(st.integers(0, 6).map(float), min_size=2, max_size=30).map(np.array)


@given(SCORES, SCORES, st.floats(0, 0.999))
def test_the_share_of_members_so_exposed_is_the_true_positive_rate(
    members: np.ndarray, others: np.ndarray, fpr: float
) -> None:
    exposure = accused_with(members, others) / len(others)
    assert (exposure <= fpr + 1e-9 / len(others)).mean() == tprs_at(
        members[None], others[None], fpr
    )


def test_rank_correlation_is_spearmans_and_its_limits_cover() -> None:
    rng = np.random.default_rng(0)
    covered = false = 0
    for _ in range(400):
        x = rng.standard_normal(60)
        y = 0.8 * x + 0.6 * rng.standard_normal(60)
        found = RankCorrelation.of(x, np.exp(y))
        assert found.value == pytest.approx(spearmanr(x, y).statistic)
        low, high = found.interval()
        covered += low <= 6 / np.pi * np.arcsin(0.8 / 2) <= high  # of a normal pair, exactly
        false += RankCorrelation.of(x, rng.standard_normal(60)).p_value() <= 0.05
    assert covered >= 368  # 95 % of 400, less 2.7 standard deviations
    assert false <= 32
    assert RankCorrelation.of(x, np.ones(60)) is None


def test_balanced_accuracy_of_nothing_is_a_half() -> None:
    """A threshold chosen on the same 20 records would show about 60 %."""
    rng = np.random.default_rng(0)
    found = [BalancedAccuracy.of(*rng.standard_normal((2, 10))) for _ in range(2000)]
    assert np.mean([f.value for f in found]) == pytest.approx(0.5, abs=0.008)
    assert np.mean([f.interval()[0] <= 0.5 <= f.interval()[1] for f in found]) >= 0.95
    assert BalancedAccuracy.of(np.full(9, 1.0), np.full(7, 1.0)).value == 0.5


@pytest.mark.parametrize(("groups", "size", "shift"), [(2, 20, 0.0), (8, 20, 1.0), (4, 60, 1.5)])
def test_groups_that_are_told_alike_differ_no_oftener_than_the_level(
    groups: int, size: int, shift: float
) -> None:
    """Groups score differently, but their members stand out from their others alike."""
    rng = np.random.default_rng(1)
    fell = 0
    for _ in range(500):
        ease = 3 * rng.standard_normal(groups)
        areas = [
            AUC.of(rng.standard_normal(size) + shift + e, rng.standard_normal(2 * size) + e)
            for e in ease
        ]
        fell += homogeneity(areas, [size] * groups) <= 0.05
    assert fell <= 38  # 5 % of 500, and 2.7 standard deviations more


def test_groups_that_are_told_apart_differ() -> None:
    rng = np.random.default_rng(2)
    members, others = rng.standard_normal((2, 200))
    areas = [AUC.of(members + 1.5, others), AUC.of(members[:100], others)]
    assert homogeneity(areas, [200, 100]) < 1e-4
    certain = [Rate(np.ones(50)), Rate(np.ones(50)), Rate(np.zeros(50))]
    assert homogeneity(certain, [50] * 3) < 1e-4
    assert homogeneity(certain[:2], [50] * 2) == 1
