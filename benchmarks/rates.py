"""Rates of hits, and means over few seeds, as cells of a table with 95 % limits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import t

from seepage.auditing.evidence import Known
from seepage.core.intervals import Difference, Rate


def rate(hits: Sequence[float]) -> str:
    """Return a rate with its exact limits."""
    found = Rate(np.array(hits))
    low, high = found.interval()
    return f"{found.value:.3f} [{low:.3f}, {high:.3f}]"


def gain(hits: Sequence[float], null: Sequence[float], prior: float) -> str:
    """Return the gain of a rate over the greater of its null and a known prior."""
    without = max(Rate(np.array(null)), Known(prior), key=lambda e: e.value)
    difference = Difference(Rate(np.array(hits)), without)
    low, high = difference.interval()
    return f"{difference.value:+.3f} [{low:+.3f}, {high:+.3f}]"


def above(hits: Sequence[float], bound: float) -> str:
    """Say whether the lower limit of a rate is above a bound."""
    return "YES" if Rate(np.array(hits)).interval()[0] > bound else "no"


def over_seeds(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the mean of a few independent runs, and Student's limits."""
    found = np.array(values)
    reach = float(t.ppf(0.975, max(len(found) - 1, 1)) * found.std(ddof=1) / len(found) ** 0.5)
    return float(found.mean()), float(found.mean()) - reach, float(found.mean()) + reach


def seeds_cell(values: Sequence[float]) -> str:
    """Return them as a cell."""
    mean, low, high = over_seeds(values)
    return f"{mean:.3f} [{low:.3f}, {high:.3f}]"
