"""The ROC curve of membership scores, with limits at each false-positive rate."""

from __future__ import annotations

import numpy as np

from ..core.intervals import Floats, Resampled
from .membership import TPR, enough_for, resamples


def roc(
    members: Floats, others: Floats, fprs: Floats, rng: np.random.Generator
) -> tuple[tuple[float, float, float, float], ...]:
    """Return (false-positive rate, true-positive rate, lower, upper limit at 95 %).

    `members` `[n]` and `others` `[m]` are scores, `fprs` `[k]` lie in [0, 1] and ascend;
    those that so few non-members can't carry are left out. Each point's limits are those
    of `TPR` and hold for that point alone; all points share their resamples.
    """
    kept = np.array([fpr for fpr in fprs if enough_for(fpr, len(others))])
    if not len(kept):
        return ()
    draws = resamples(members, others)
    point = _curve(members[None], others[None], kept)[0]
    replicates = _curve(
        members[rng.integers(len(members), size=(draws, len(members)))],
        others[rng.integers(len(others), size=(draws, len(others)))],
        kept,
    )
    found: list[tuple[float, float, float, float]] = []
    for fpr, value, drawn in zip(kept, point, replicates.T, strict=True):
        rate = TPR(Resampled(float(value), drawn), len(members))
        found.append((float(fpr), rate.value, *rate.interval()))
    return tuple(found)


def _curve(members: Floats, others: Floats, fprs: Floats) -> Floats:
    """Return the true-positive rates `[r, k]` of each row, thresholds as in `tprs_at`."""
    allowed = np.floor(fprs * others.shape[1] + 1e-9).astype(int)
    # At a false-positive rate of 1 the threshold lies below every non-member.
    lowest = np.full((len(others), 1), -np.inf)
    thresholds = np.concatenate([-np.sort(-others, axis=1), lowest], axis=1)[:, allowed]
    return np.stack([(members > t[:, None]).mean(1) for t in thresholds.T], axis=1)
