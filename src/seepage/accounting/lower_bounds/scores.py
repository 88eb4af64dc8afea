"""Scores of canaries that an audit can use, and what is said of those that it can't."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binom

from ...core.errors import UsageError
from ...core.intervals import Floats

# A fair coin deals canaries out more unevenly than this once in a million audits.
_UNFAIR = 1e-6


def checked_scores(scores: ArrayLike, whose: str) -> Floats:
    """Return one-dimensional finite scores `[n]`, n >= 1; else raise `UsageError`.

    `whose` names them in the error ("member", "non-member").
    """
    try:
        found = np.asarray(scores, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{whose} scores are no array of numbers: {error}") from error
    if found.ndim != 1:
        raise UsageError(
            f"{whose} scores have shape {found.shape}; give one score a canary, in one dimension"
        )
    if not len(found):
        raise UsageError(
            f"there is no {whose} score; an audit compares canaries that were in the data "
            "with canaries that were left out"
        )
    broken = int((~np.isfinite(found)).sum())
    if broken:
        raise UsageError(
            f"{broken} of {len(found)} {whose} scores are NaN or infinite, and have no place in "
            "an order; find out why the attack gave them (a diverged model, a log of 0)"
        )
    return found


def require_fair_coins(members: int, non_members: int) -> None:
    """Raise `UsageError` where fair coins can't have decided who is a member.

    One-run bounds count how often coins are guessed; of canaries of which 9 in 10 are
    members, nine guesses in ten are right without any leak.
    """
    canaries = members + non_members
    if 2 * binom.cdf(min(members, non_members), canaries, 0.5) < _UNFAIR:
        raise UsageError(
            f"{members} of {canaries} canaries were members, which fair coins don't do; a bound "
            "from one run needs each canary put in by a fair coin of its own: leave out at "
            "random some of the larger side, or insert anew"
        )
