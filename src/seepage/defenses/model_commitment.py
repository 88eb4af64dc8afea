"""Clients commit to the model that they received, so that differing models don't add up.

A server that sends one client a live model and the others dead ones reads that client's
gradient out of a secure sum (Pasquini, Francati & Ateniese 2022, arXiv 2111.07380, whose
section 6 proposes this remedy). Each client binds

    SHA-256(round, roster, architecture, every parameter and buffer that it was sent)

into what it sends; the sum is released only where all commitments are equal. It says
nothing of a bad model that all clients get.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ..core.defense import Defense
from .cards import card_in_force

if TYPE_CHECKING:
    from torch import nn

    from ..core.cards import DefenseCard
    from ..core.defense import Receipt


@dataclass(frozen=True, kw_only=True)
class ModelCommitment(Defense):
    """Binds model, roster and round into every update. It has no settings."""

    @property
    def card(self) -> DefenseCard:
        """The public card with this instance's settings."""
        return card_in_force("model-commitment", self)

    def commitment(self, receipt: Receipt) -> bytes:
        """Return 32 bytes that another model, roster or round would change."""
        return model_digest(receipt.model, receipt.roster, receipt.round)

    def upload_bytes(self, plain: int) -> int:
        """Return `plain` and the commitment's 32 bytes."""
        return plain + hashlib.sha256().digest_size


def model_digest(model: nn.Module, roster: tuple[int, ...], number: int) -> bytes:
    """Return the SHA-256 of a model's code structure and state, a roster and a round number.

    Every field is preceded by its length, so that no two receipts share an encoding.
    """
    digest = hashlib.sha256()

    def add(part: bytes) -> None:
        """Hash a part behind its length, so that parts can't run together."""
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)

    add(f"seepage model commitment 1, round {number}".encode())
    add(",".join(map(str, roster)).encode())
    add(repr(model).encode())
    for name, value in sorted(model.state_dict().items()):
        add(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        raw = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        add(raw.numpy().tobytes())
    return digest.digest()
