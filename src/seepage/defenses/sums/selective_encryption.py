"""Encrypts the coordinates of updates that tell most, and sends the rest as it is.

FedML-HE (Jin et al. 2023, arXiv 2303.10837) saves most of the cost of homomorphic encryption so.
All clients encrypt the same coordinates, which are public: here those whose squares, added up
over the clients of the round, are largest. Clients would agree on them under the same secure sum,
seldom; that the choice is fresh each round makes it the best one that this rule can make.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ...core.defense import Defense
from ...core.errors import UsageError
from ...core.names import nearest
from ..cards import card_in_force
from ..dp.bounding import require_protectable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from ...core.cards import DefenseCard
    from ...core.views import Update

_RULES = ("largest", "random", "last")
_BYTES_A_FLOAT = 4


@dataclass(frozen=True, kw_only=True)
class SelectiveEncryption(Defense):
    """Leaves all but the encrypted coordinates in the clear; the sum of both is exact.

    Fields
    ------
    fraction : share of all coordinates that is encrypted, in (0, 1]
    rule : which: `largest` (by magnitude over the cohort), `last` (from the output layer back),
        or `random` (for comparison)
    expansion : bytes of an encrypted coordinate to those of a float32; 5.2 for `ckks`
    """

    fraction: float = 0.1
    rule: str = "largest"
    expansion: float = 5.2

    def __post_init__(self) -> None:
        if not 0 < self.fraction <= 1:
            raise UsageError(
                f"selective-encryption: fraction is {self.fraction}; use a number above 0 and at "
                "most 1"
            )
        if self.rule not in _RULES:
            raise UsageError(
                f"selective-encryption: no rule is called {self.rule!r}{nearest(self.rule, _RULES)}"
            )
        if not self.expansion >= 1:
            raise UsageError(f"selective-encryption: expansion is {self.expansion}; use 1 or more")

    @property
    def card(self) -> DefenseCard:
        """The public card with this instance's settings."""
        return card_in_force("selective-encryption", self)

    def protect_update(self, update: Update, rng: torch.Generator) -> Update:  # noqa: ARG002
        """Return `update`; `RefusedError` for what can't be encoded."""
        require_protectable(update, "selective-encryption")
        return update

    def in_clear(self, updates: Sequence[Update]) -> Sequence[Update]:
        """Return the updates with zeros where they are encrypted."""
        if not updates:
            return updates
        masks = self.encrypted(updates)
        return [
            {name: value.masked_fill(masks[name], 0.0) for name, value in update.items()}
            for update in updates
        ]

    def encrypted(self, updates: Sequence[Update]) -> dict[str, Tensor]:
        """Return which coordinates are encrypted, of the shapes of an update's tensors."""
        like = updates[0]
        squares = torch.stack([_flat(update).square() for update in updates]).sum(0)
        count = min(len(squares), max(1, round(self.fraction * len(squares))))
        if self.rule == "largest":
            chosen = squares.topk(count).indices
        elif self.rule == "last":
            chosen = torch.arange(len(squares) - count, len(squares))
        else:  # public, and the same in every round
            chosen = torch.randperm(len(squares), generator=torch.Generator().manual_seed(0))
            chosen = chosen[:count]
        mask = torch.zeros(len(squares), dtype=torch.bool)
        mask[chosen] = True
        parts = mask.split([value.numel() for value in like.values()])
        return {n: part.view_as(v) for (n, v), part in zip(like.items(), parts, strict=True)}

    def upload_bytes(self, plain: int) -> int:
        """Return the bytes of both parts; which coordinates are encrypted is known to all."""
        encrypted = round(plain // _BYTES_A_FLOAT * self.fraction) * _BYTES_A_FLOAT
        return plain - encrypted + round(encrypted * self.expansion)


def _flat(update: Update) -> Tensor:
    return torch.cat([value.detach().double().cpu().flatten() for value in update.values()])
