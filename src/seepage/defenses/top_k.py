"""Top-k sparsification: send the largest coordinates of an update, zero the rest.

Made to save bandwidth (Aji & Heafield 2017). It hides little: what remains is exact, and
which coordinates remain tells of the data too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ..core.defense import Defense
from ..core.errors import UsageError
from .cards import card_in_force
from .dp.bounding import require_protectable

if TYPE_CHECKING:
    from ..core.cards import DefenseCard
    from ..core.views import Update

_BYTES_A_FLOAT = 4
_BYTES_A_KEPT_COORDINATE = 8


@dataclass(frozen=True, kw_only=True)
class TopK(Defense):
    """Keeps the coordinates of largest magnitude over all tensors of an update.

    Fields
    ------
    fraction : share of all coordinates that is kept (at least one), in (0, 1]
    """

    fraction: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.fraction <= 1:
            raise UsageError(
                f"top-k: fraction is {self.fraction}; use a number above 0 and at most 1"
            )

    @property
    def card(self) -> DefenseCard:
        """The public card with this instance's settings."""
        return card_in_force("top-k", self)

    def kept(self, coordinates: int) -> int:
        """Return how many of `coordinates` are sent."""
        return min(coordinates, max(1, round(self.fraction * coordinates)))

    def protect_update(self, update: Update, rng: torch.Generator) -> Update:  # noqa: ARG002
        """Return the sparse update; `RefusedError` for integers, NaN, infinity."""
        require_protectable(update, "top-k")
        if not update:
            return {}
        magnitudes = torch.cat([tensor.detach().abs().flatten() for tensor in update.values()])
        mask = torch.zeros(len(magnitudes), dtype=torch.bool, device=magnitudes.device)
        # By index, not by threshold: among equal magnitudes exactly k must stay.
        mask[magnitudes.topk(self.kept(len(magnitudes))).indices] = True
        parts = mask.split([tensor.numel() for tensor in update.values()])
        return {
            name: torch.where(part.view_as(tensor), tensor, torch.zeros_like(tensor))
            for (name, tensor), part in zip(update.items(), parts, strict=True)
        }

    def upload_bytes(self, plain: int) -> int:
        """Return eight bytes (index and value) a kept coordinate, or `plain` if that is less."""
        return min(plain, _BYTES_A_KEPT_COORDINATE * self.kept(plain // _BYTES_A_FLOAT))
