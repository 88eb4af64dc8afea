"""Guesses on the canaries of one run: many coins, guessed at once.

Every one of m canaries enters the data by a fair coin of its own. The attacker guesses the
coins of the canaries with the highest scores ("in") and the lowest ("out"), half each, and
abstains from the rest (Steinke, Nasr & Jagielski 2023, arXiv 2305.08846, algorithm 1).
"""

from __future__ import annotations

from math import inf, sqrt

import numpy as np
from scipy.special import bdtr, ndtr
from scipy.stats import binom

from ...core.errors import UsageError
from ...core.intervals import Floats
from .auditor import Auditor, Canaries
from .scores import require_fair_coins

_FEW = 32


class OneRun(Auditor):
    """The guessing that both one-run bounds share; `right` is the number of right guesses."""

    def require(self, canaries: Canaries, guesses: int) -> None:
        """Refuse unfair coins, and guesses that are not between 1 and the number of canaries."""
        require_fair_coins(canaries.members, canaries.non_members)
        if not 1 <= guesses <= canaries.total:
            raise UsageError(
                f"guesses is {guesses}; of {canaries.total} canaries guess 1 to {canaries.total}"
            )

    def default_guesses(self, canaries: Canaries) -> int:
        """Return a quarter of the canaries, but 32 where there are so many.

        Fewer guesses are surer, more of them are better evidence. The f-DP bound at a quarter is
        within a tenth of that at the best number, at epsilon 1.5 to 8 and 500 to 2,000 canaries.
        """
        return min(canaries.total, max(canaries.total // 4, _FEW))

    def right(self, members: Floats, non_members: Floats, guesses: int) -> int:
        """Return how many guesses are right; of tied scores those that are wrong come first.

        No order among ties may tell who was a member, as their order in an array would.
        """
        top, bottom = guesses - guesses // 2, guesses // 2
        return _hits(members, non_members, top) + _hits(-non_members, -members, bottom)

    def gaussian_right(self, canaries: Canaries, guesses: int, mu: float) -> int:
        """Return the median number of right guesses, of a binomial with the exact mean.

        Scores are N(mu, 1) for members and N(0, 1) for others, as those of canaries that don't
        disturb each other; the mean is an integral over the score of one canary times
        the chance that it is among those guessed.
        """
        if mu == inf:
            return guesses
        # Seen from mu / 2 both sides look the same, so half the guesses give half the mean.
        wide = np.linspace(-mu / 2 - 9, mu / 2 + 9, 20_001)
        at_score = np.exp(-((wide - mu / 2) ** 2) / 2) / (2 * sqrt(2 * np.pi))
        above = (ndtr(mu / 2 - wide) + ndtr(-mu / 2 - wide)) / 2
        step = float(wide[1] - wide[0])
        mean = 0.0
        for side in (guesses - guesses // 2, guesses // 2):
            if side:
                guessed = bdtr(side - 1, canaries.total - 1, above)
                mean += canaries.total * step * float(at_score @ guessed)
        return typical(guesses, mean / guesses)


def typical(guesses: int, rate: float) -> int:
    """Return the median number of right ones among guesses that are right at `rate`."""
    return int(binom.median(guesses, min(rate, 1.0)))


def _hits(ours: Floats, theirs: Floats, count: int) -> int:
    """Return how many of `ours` are surely among the `count` highest of all scores."""
    if not count:
        return 0
    pooled = np.concatenate([ours, theirs])
    edge = -np.partition(-pooled, count - 1)[count - 1]
    above = int((ours > edge).sum())
    tied_slots = count - int((pooled > edge).sum())
    return above + max(0, tied_slots - int((theirs == edge).sum()))
