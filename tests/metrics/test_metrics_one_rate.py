"""The rate of anybody's scores: what it is, what it rests on, and when it is withheld."""

from __future__ import annotations

import numpy as np
import pytest

import seepage
from seepage.core.errors import DataError, UsageError
from seepage.metrics import tpr_at_fpr
from seepage.metrics.membership import TPR


def test_it_is_the_rate_that_an_audit_prints() -> None:
    rng = np.random.default_rng(1)
    members, others = rng.normal(1, 1, 700), rng.normal(0, 1, 1200)
    order = rng.permutation(1900)
    scores, truth = np.r_[members, others][order], (np.arange(1900) < 700)[order]
    found = tpr_at_fpr(scores, truth, 0.01)
    audits = TPR.of(members, others, 0.01, np.random.default_rng(2))
    assert found.value == audits.value == np.mean(members > np.sort(others)[-13])
    assert (found.low, found.high) == pytest.approx(audits.interval(), abs=0.02)
    assert found.low < found.value < found.high
    assert (found.n, found.others, found.realized_fpr) == (700, 1200, 0.01)
    assert tpr_at_fpr(scores, truth, 0.01) == found


def test_ties_never_help() -> None:
    found = tpr_at_fpr([1.0] * 400, [True, False] * 200, 0.1)
    assert (found.value, found.realized_fpr) == (0.0, 0.0)


def test_what_so_few_records_can_t_carry_is_withheld() -> None:
    with pytest.raises(DataError, match="withheld: 999 non-members are too few"):
        tpr_at_fpr(np.arange(1999.0), np.arange(1999) >= 999, 0.01)
    with pytest.raises(DataError, match="no member"):
        tpr_at_fpr(np.arange(1000.0), np.zeros(1000), 0.01)


def test_wrong_input_is_named() -> None:
    with pytest.raises(UsageError, match=r"of shape \(3,\) and is_member of \(2,\)"):
        tpr_at_fpr([1.0, 2.0, 3.0], [True, False], 0.1)
    with pytest.raises(UsageError, match="1 scores are not numbers"):
        tpr_at_fpr([1.0, np.nan], [True, False], 0.1)
    with pytest.raises(UsageError, match=r"fpr is 1\.5"):
        tpr_at_fpr([1.0, 2.0], [True, False], 1.5)


def test_the_package_hands_it_out() -> None:
    assert seepage.metrics.tpr_at_fpr is tpr_at_fpr
