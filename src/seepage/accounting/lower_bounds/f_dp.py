"""The bound of one run for mechanisms of the Gaussian family.

A whole trade-off curve is tested instead of one (epsilon, delta), so that much more is seen of
a mechanism which has that curve (Mahloujifar, Melis & Chaudhuri 2024, arXiv 2410.22235, the
recursion of their audit with abstentions). Curves are those of mu-GDP; the largest mu that is
rejected is told as epsilon at delta. Mechanisms whose curve lies above that of their epsilon's
Gaussian are bounded as well: DP-SGD with Poisson sampling, but for errors rarer than delta.
"""

from __future__ import annotations

from typing import Any, ClassVar

from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from ..gaussian import epsilon_of, mu_of
from .auditor import Canaries
from .one_run import OneRun


def excess(canaries: int, guesses: int, right: int, mu: float, significance: float) -> float:
    """Return by how much the evidence exceeds what mu-GDP allows; positive rejects it.

    Were `right` or more right guesses likelier than `significance`, the chances of fewer
    right ones, each bounded below by the trade-off curve, would sum up to more than all.

    >>> excess(1000, 100, 90, 0.1, 0.05) > 0 > excess(1000, 100, 90, 9.0, 0.05)
    True
    """
    r = significance * right / canaries
    h = significance * (guesses - right) / canaries
    for i in range(right - 1, -1, -1):
        least = float(ndtr(ndtri(r) - mu))
        if least <= h:
            break
        r, h = min(r + i / (guesses - i) * (least - h), 1.0), least
    return r + h - guesses / canaries


class FDP(OneRun):
    """The epsilon of the largest mu that is rejected."""

    title: ClassVar[str] = "the f-DP one-run bound"
    holds_if: ClassVar[str] = (
        "each canary was put in by a fair coin of its own, and the mechanism's trade-off curve "
        "is Gaussian or above"
    )
    zero_delta: ClassVar[bool] = False

    def bound(
        self, canaries: Canaries, guesses: int, right: int, *, delta: float, significance: float
    ) -> float:
        """Return the bound, the root in mu of what is in excess, which falls with it."""

        def over(mu: float) -> float:
            return excess(canaries.total, guesses, right, mu, significance)

        low = mu_of(0.0, delta)
        if over(low) <= 0:
            return 0.0
        high = 1.0
        while over(high) > 0:
            high *= 2
        root: Any = brentq(over, low, high, xtol=1e-13)
        return epsilon_of(float(root), delta)
