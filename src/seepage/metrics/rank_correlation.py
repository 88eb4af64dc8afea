"""Whether two figures of the same records grow together, whatever their scales."""

from __future__ import annotations

from dataclasses import dataclass
from math import atanh, sqrt, tanh

import numpy as np
from scipy.stats import norm, rankdata

from ..core.intervals import Floats

LEAST = 10
"""Records below which no rank correlation is told: its limits are for large samples."""


@dataclass(frozen=True, slots=True)
class RankCorrelation:
    """Spearman's rank correlation over `n` records, with the limits of Bonett & Wright (2000).

    Fisher's transform of it has the variance (1 + value^2 / 2) / (n - 3) (eq. 3 there).
    """

    value: float
    n: int

    @classmethod
    def of(cls, first: Floats, second: Floats) -> RankCorrelation | None:
        """Estimate from two figures `[n]` of each record; ties share their mean rank.

        None where there are under `LEAST` records, or where either figure is the same for all.

        >>> RankCorrelation.of(np.arange(12.0), np.arange(12.0) ** 3).value
        1.0
        """
        if len(first) < LEAST or first.min() == first.max() or second.min() == second.max():
            return None
        ranks = np.corrcoef(rankdata(first), rankdata(second))
        return cls(round(float(ranks[0, 1]), 12), len(first))

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return two-sided limits at `level`."""
        reach = float(norm.ppf((1 + level) / 2)) * self._error
        middle = self._transformed
        return tanh(middle - reach), tanh(middle + reach)

    def p_value(self) -> float:
        """Return the two-sided p-value of no correlation."""
        return float(2 * norm.sf(abs(self._transformed) / self._error))

    @property
    def _transformed(self) -> float:
        return atanh(max(-1 + 1e-9, min(1 - 1e-9, self.value)))

    @property
    def _error(self) -> float:
        return sqrt((1 + self.value**2 / 2) / (self.n - 3))
