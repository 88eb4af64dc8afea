"""How far a guessed gradient points away from the observed one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from ....core.cards import DefenseCard

_SPARSE = 0.2


@dataclass(frozen=True, slots=True, eq=False)
class CosineMatch:
    """1 - cos(gradient, observed), on what the observed gradient tells of each coordinate.

    Fields
    ------
    observed : the flat observed gradient `[p]`
    sent : indices of the coordinates that were sent; None: all were
    bound : what no other coordinate exceeds in magnitude; None: nothing is known of them
    """

    observed: Tensor
    sent: Tensor | None = None
    bound: float | None = None

    def distance(self, gradient: Tensor) -> Tensor:
        """Return the distance of a flat gradient `[p]`, a scalar in 0..2.

        With a bound, the coordinates that were not sent are taken to be what the guess
        says, cut off at the bound: of all observations that are possible, the nearest.
        """
        if self.sent is None:
            return _cosine_distance(gradient, self.observed)
        known, seen = gradient[self.sent], self.observed[self.sent]
        if self.bound is None:
            return _cosine_distance(known, seen)
        with torch.no_grad():
            scale = known.norm() / seen.norm().clamp_min(1e-30)
            nearest = gradient.clamp(-scale * self.bound, scale * self.bound)
            nearest[self.sent] = scale * seen
        return _cosine_distance(gradient, nearest)


def cosine_match(
    observed: Tensor, defenses: Iterable[DefenseCard], *, mask_aware: bool
) -> CosineMatch:
    """Return the match for a flat observed gradient `[p]` under the defenses in force.

    Zeros of an undefended update are values like any others. Top-k keeps the largest
    coordinates, so the others are below the least of those sent. Under any other defense,
    where more than a fifth of the update is zero, nothing is known of the zeros.
    """
    names = {card.name for card in defenses}
    sent = observed != 0
    if not mask_aware or not names or bool(sent.all()) or not bool(sent.any()):
        return CosineMatch(observed)
    index = sent.nonzero().flatten()
    if "top-k" in names:
        return CosineMatch(observed, index, float(observed[index].abs().min()))
    if float((~sent).float().mean()) > _SPARSE:
        return CosineMatch(observed, index)
    return CosineMatch(observed)


def _cosine_distance(a: Tensor, b: Tensor) -> Tensor:
    return 1 - (a @ b) / (a.norm() * b.norm()).clamp_min(1e-30)
