"""The bound of one run for any (epsilon, delta) mechanism.

Against an (epsilon, delta)-DP mechanism r guesses on m coins are right at most as often as r
answers of randomized response at epsilon, but for a term in delta (Steinke, Nasr & Jagielski
2023, arXiv 2305.08846, theorem 5.2):

    P[right >= v] <= beta + 2 m delta max_i (P[W >= v - i] - beta) / i

with W binomial of r and e^eps / (1 + e^eps), and beta = P[W >= v].
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import binom

from .auditor import Canaries
from .one_run import OneRun, typical


def p_value(canaries: int, guesses: int, right: int, epsilon: float, delta: float) -> float:
    """Return the largest chance of `right` or more right guesses under (epsilon, delta)-DP.

    >>> round(p_value(1000, 100, 60, 0.0, 0.0), 4)
    0.0284
    """
    rate = float(expit(epsilon))
    beta = float(binom.sf(right - 1, guesses, rate))
    i = np.arange(1, right + 1)
    share = np.max((binom.sf(right - 1 - i, guesses, rate) - beta) / i, initial=0.0)
    return min(1.0, beta + 2 * canaries * delta * float(share))


class Steinke(OneRun):
    """The largest epsilon below which every claim is rejected."""

    title: ClassVar[str] = "Steinke's one-run bound"
    holds_if: ClassVar[str] = "each canary was put in by a fair coin of its own"

    def bound(
        self, canaries: Canaries, guesses: int, right: int, *, delta: float, significance: float
    ) -> float:
        """Return where the p-value crosses `significance`; it rises with epsilon below that."""

        def excess(epsilon: float) -> float:
            return p_value(canaries.total, guesses, right, epsilon, delta) - significance

        if excess(0.0) >= 0:
            return 0.0
        high = 1.0
        while excess(high) < 0:
            high *= 2
        root: Any = brentq(excess, 0.0, high, xtol=1e-12)
        return float(root)

    def randomized_response_right(self, guesses: int, epsilon: float) -> int:
        """Return the median of guesses that are right at e^eps / (1 + e^eps)."""
        return typical(guesses, float(expit(epsilon)))
