"""The true-positive rate of anybody's membership scores, with all that makes it a figure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..core.errors import DataError, UsageError
from .membership import TPR, enough_for, realized_fpr

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

# Limits of the same scores are the same each time; their resamples tell nothing of the data.
_SEED = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class RateAtFPR:
    """The share of members that scores find at a false-positive rate of at most `fpr`.

    Fields
    ------
    value, low, high : the rate and its 95 % limits, in [0, 1]
    n : how many members it is a share of
    others : how many non-members the threshold was set on
    realized_fpr : the share of them above the threshold, at most `fpr`
    """

    value: float
    low: float
    high: float
    n: int
    others: int
    fpr: float
    realized_fpr: float


def tpr_at_fpr(scores: ArrayLike, is_member: ArrayLike, fpr: float) -> RateAtFPR:
    """Return the true-positive rate of scores `[n]` at a false-positive rate of at most `fpr`.

    The higher a score, the likelier a member; `is_member` `[n]` is the truth. The threshold is
    the least with no more than `fpr` of the non-members above it, so that ties never help. The
    limits choose it anew (stratified bootstrap, never within Clopper and Pearson's).

    Raises `UsageError` for scores that are no numbers or an `fpr` outside (0, 1), and
    `DataError` where there is no member, or fewer than the 10 / fpr non-members that such a rate
    needs: the figure is withheld.

    >>> found = tpr_at_fpr([*range(200)], [False] * 100 + [True] * 100, 0.1)
    >>> found.value, found.n, found.others
    (1.0, 100, 100)
    """
    given, member = np.asarray(scores, dtype=np.float64), np.asarray(is_member, dtype=bool)
    if given.ndim != 1 or given.shape != member.shape:
        raise UsageError(
            f"scores are of shape {given.shape} and is_member of {member.shape}: give one score "
            "and one truth for each record"
        )
    if not 0 < fpr < 1:
        raise UsageError(f"fpr is {fpr}; use a rate in (0, 1)")
    if np.isnan(given).any():
        raise UsageError(f"{int(np.isnan(given).sum())} scores are not numbers (NaN)")
    members, others = given[member], given[~member]
    if not len(members):
        raise DataError("there is no member among the records: no rate of them can be given")
    if not enough_for(fpr, len(others)):
        raise DataError(
            f"withheld: {len(others)} non-members are too few for a rate at {fpr:.3g} false "
            f"positives, which needs {round(10 / fpr)}"
        )
    rate = TPR.of(members, others, fpr, np.random.default_rng(_SEED))
    low, high = rate.interval()
    return RateAtFPR(
        value=rate.value,
        low=low,
        high=high,
        n=len(members),
        others=len(others),
        fpr=fpr,
        realized_fpr=realized_fpr(others, fpr),
    )
