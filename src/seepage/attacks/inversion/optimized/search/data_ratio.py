"""Whether an update holds enough numbers to pin its records down, and whether it did.

A batch of n inputs has n x d unknown numbers; the update gives one equation a coordinate
that was sent. With fewer equations than unknowns many batches explain the update equally
well, so that a distance of 0 is no evidence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from .matching import CosineMatch

# Cosine distance below which a batch explains an update; see `judged`.
EXPLAINED = 1e-4


def data_ratio(match: CosineMatch, inputs: Tensor) -> float:
    """Return known numbers by unknown ones, for a match and the inputs `[n, *shape]`.

    Coordinates that are zero, as those behind units that no record activates, tell
    nothing of the inputs and are not counted.
    """
    return int((match.observed != 0).sum()) / max(inputs.numel(), 1)


def judged(distance: float, ratio: float) -> bool:
    """Return whether a batch at this cosine distance is to be taken for the right one.

    The right one is at 1e-6 or below, as float32 rounds; a search that stalled beside
    another batch, at 1e-3 or above.
    """
    return distance < EXPLAINED and ratio > 1
