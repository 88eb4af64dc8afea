"""Whether groups differ in a rate by more than chance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import f, norm

from ..core.intervals import Estimate, Floats


def homogeneity(rates: Sequence[Estimate], sizes: Sequence[int]) -> float:
    """Return the p-value of one and the same rate (or AUC) behind all groups (Welch 1951).

    `rates` in [0, 1] come from two independent groups or more of `sizes` (each >= 2) records.
    They are compared as log odds, with the error that the wider side of each one's 95 % limits
    stands for; a rate of 0 or 1 is taken for half a record more or less, and its error from the
    one side that it has. The weighted squares about the weighted mean are held against an F
    distribution that allows for estimated weights (eq. 21-24 there).

    >>> from seepage.core.intervals import Rate
    >>> same, other = Rate(np.repeat([0.0, 1.0], 50)), Rate(np.repeat([0.0, 1.0], [20, 80]))
    >>> homogeneity([same, same], [100, 100]), homogeneity([same, other], [100, 100]) < 1e-3
    (1.0, True)
    """
    low, high = np.array([rate.interval() for rate in rates]).T
    least = 1 / (2 * np.array(sizes))
    raw = np.array([rate.value for rate in rates])
    values = np.clip(raw, least, 1 - least)
    odds = _odds(values)
    wider = np.maximum(raw - low, high - raw) / (values * (1 - values))
    inner = np.abs(odds - _odds(np.where(raw > 0.5, low, high)))
    errors = np.where((raw > 0) & (raw < 1), wider, inner) / norm.ppf(0.975)
    weights = 1 / np.square(errors)
    share = weights / weights.sum()
    groups = len(odds)
    between = float((weights * (odds - (share * odds).sum()) ** 2).sum()) / (groups - 1)
    unsure = float(((1 - share) ** 2 / (np.array(sizes) - 1)).sum())
    statistic = between / (1 + 2 * (groups - 2) / (groups**2 - 1) * unsure)
    return float(f.sf(statistic, groups - 1, (groups**2 - 1) / (3 * unsure)))


def _odds(rates: Floats) -> Floats:
    return np.log(rates / (1 - rates))
