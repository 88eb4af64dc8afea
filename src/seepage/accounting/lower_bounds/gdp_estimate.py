"""An estimate of epsilon from the shape of scores: no bound, and nothing that refutes.

If scores of members are N(a + mu s, s^2) and those of others N(a, s^2), independent of each
other, then mu is the standardized difference of means (as Andrew et al. 2023, arXiv 2302.03098,
fit Gaussians to canaries of one run), and mu-GDP gives epsilon. Real scores need not be.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from ...core.errors import UsageError
from ..gaussian import epsilon_of
from .scores import checked_scores


@dataclass(frozen=True, kw_only=True)
class GDPEstimate:
    """An estimate, never a bound; its str says so.

    Fields
    ------
    epsilon : of the fitted Gaussians, at `delta`
    low, high : two-sided limits of it at `confidence`, which hold if scores are Gaussian
    mu : standardized difference of the means, in standard deviations; below 0 where non-members
        score higher, and epsilon is then 0
    delta, confidence : as given
    """

    epsilon: float
    low: float
    high: float
    mu: float
    delta: float
    confidence: float

    def __str__(self) -> str:
        """Return the estimate as a person would say it."""
        return (
            f"epsilon is estimated at {self.epsilon:.3g} [{self.low:.3g}, {self.high:.3g}] at "
            f"delta {self.delta:g} (Gaussian fit, {self.confidence:g} confidence if scores are "
            "Gaussian and independent; an estimate, not a lower bound)"
        )


def gdp_estimate(
    member_scores: ArrayLike,
    non_member_scores: ArrayLike,
    *,
    delta: float,
    confidence: float = 0.95,
) -> GDPEstimate:
    """Return what epsilon would be, were these scores Gaussian: an estimate, never a bound.

    Scores are `[n]` and `[k]` with n, k >= 2, finite, higher for likelier members; `delta` and
    `confidence` lie between 0 and 1. The limits are those of a standardized difference in large
    samples (Hedges & Olkin 1985, chapter 5, equation 14). Raises `UsageError` for others, and
    for scores without any spread.

    >>> gdp_estimate([1.0, 2.0, 3.0], [0.0, 1.0, 2.0], delta=1e-5).mu
    1.0
    """
    if not 0 < delta < 1 or not 0 < confidence < 1:
        raise UsageError(
            f"delta is {delta} and confidence {confidence}; use numbers between 0 and 1"
        )
    ours = checked_scores(member_scores, "member")
    theirs = checked_scores(non_member_scores, "non-member")
    n, k = len(ours), len(theirs)
    if min(n, k) < 2:
        raise UsageError(f"{n} member and {k} non-member scores have no spread; use 2 of each")
    spread = sqrt(((n - 1) * ours.var(ddof=1) + (k - 1) * theirs.var(ddof=1)) / (n + k - 2))
    if not spread:
        raise UsageError("all scores of a side are equal: there is no spread to fit a Gaussian to")
    mu = float(np.mean(ours) - np.mean(theirs)) / spread
    half = float(ndtri((1 + confidence) / 2)) * sqrt(1 / n + 1 / k + mu**2 / (2 * (n + k)))
    low, middle, high = (epsilon_of(max(at, 0.0), delta) for at in (mu - half, mu, mu + half))
    return GDPEstimate(
        epsilon=middle, low=low, high=high, mu=mu, delta=delta, confidence=confidence
    )
