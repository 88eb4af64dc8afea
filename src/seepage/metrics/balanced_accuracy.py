"""Balanced accuracy of membership scores, at a threshold that was chosen on other records."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.intervals import Difference, Floats, Rate


@dataclass(frozen=True, slots=True)
class BalancedAccuracy:
    """(1 + TPR - FPR) / 2, each record judged by a threshold that does not know it.

    A threshold chosen on the same records would show more than half where scores tell nothing.
    """

    advantage: Difference

    @classmethod
    def of(cls, members: Floats, others: Floats) -> BalancedAccuracy:
        """Estimate from scores of members `[n]` and non-members `[m]`, at least two of each.

        Every second record of either kind is one half; each half's best threshold judges the
        other.

        >>> BalancedAccuracy.of(np.array([4.0, 5, 6, 7]), np.array([0.0, 1, 1, 2])).value
        1.0
        """
        found = np.zeros(len(members))
        accused = np.zeros(len(others))
        for half in (0, 1):
            threshold = best_threshold(members[half::2], others[half::2])
            found[1 - half :: 2] = members[1 - half :: 2] > threshold
            accused[1 - half :: 2] = others[1 - half :: 2] > threshold
        return cls(Difference(Rate(found), Rate(accused)))

    @property
    def value(self) -> float:
        """Return the point estimate; 0.5 is a coin's."""
        return (1 + self.advantage.value) / 2

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return two-sided limits at `level`, for these two thresholds."""
        low, high = self.advantage.interval(level)
        return max(0.0, (1 + low) / 2), min(1.0, (1 + high) / 2)


def best_threshold(members: Floats, others: Floats) -> float:
    """Return the score above which members outnumber non-members most, by their shares."""
    candidates = np.unique(np.concatenate([members, others]))
    above = [
        1 - np.searchsorted(np.sort(side), candidates, side="right") / len(side)
        for side in (members, others)
    ]
    best = int(np.argmax(above[0] - above[1]))
    following = candidates[min(best + 1, len(candidates) - 1)]
    return float(candidates[best] + following) / 2
