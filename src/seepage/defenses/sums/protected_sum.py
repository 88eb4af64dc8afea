"""What all defenses by a secure sum share: they run their protocol on each round's updates."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch

from ...core.defense import Defense
from ...core.errors import RefusedError, UsageError
from ...core.threat import Capability
from ...crypto.cards import protocol_card
from ...crypto.entropy import Entropy
from ...crypto.protocol import SumJob
from ..cards import card_in_force
from ..dp.bounding import require_protectable
from ..model_commitment import model_digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from ...core.cards import DefenseCard
    from ...core.defense import Receipt
    from ...core.task import Training
    from ...core.views import Update
    from ...crypto.protocol import SecureSum, SumProtocol


class ProtectedSum(Defense):
    """Base of the defenses by secure sums: frozen dataclasses with the protocol's settings.

    `bound` is the public range of an entry of an update: what exceeds it is refused, never
    wrapped or clipped. Keys, masks and shares derive from the job's seed: it is a simulation.
    """

    hides: ClassVar[frozenset[Capability]] = frozenset({Capability.SEES_CLIENT_UPDATES})
    adds_up: ClassVar[bool] = True
    protocol: ClassVar[str]
    binds_model: ClassVar[bool] = False
    """Whether clients that were sent different models get no sum."""

    bound: float

    def __post_init__(self) -> None:
        if not (isfinite(self.bound) and self.bound > 0):
            raise UsageError(f"{self.protocol}: bound is {self.bound}; use a number above 0")
        self._run_by()

    @property
    def card(self) -> DefenseCard:
        """The public card with this instance's settings."""
        return card_in_force(self.protocol, self)

    def check(self, model: nn.Module, training: Training) -> None:  # noqa: ARG002
        """Raise `UsageError` where what the protocol runs on is not installed."""
        protocol_card(self.protocol).require()

    def commitment(self, receipt: Receipt) -> bytes:
        """Return the hash of what a client received, where the protocol binds it."""
        if not self.binds_model:
            return b""
        return model_digest(receipt.model, receipt.roster, receipt.round)

    def protect_update(self, update: Update, rng: torch.Generator) -> Update:  # noqa: ARG002
        """Return `update`; `RefusedError` for what the protocol can't encode."""
        require_protectable(update, self.protocol)
        for name, tensor in update.items():
            most = float(tensor.detach().abs().max()) if tensor.numel() else 0.0
            if most > self.bound:
                raise RefusedError(
                    f"{self.protocol}: {name} holds {most:g}, beyond the public bound "
                    f"{self.bound:g}; raise bound, or clip updates; nothing was released"
                )
        return update

    def add_up(
        self, updates: Sequence[Update], commitments: Sequence[bytes], rng: torch.Generator
    ) -> Update:
        """Return the sum that the protocol gives, in doubles."""
        return unflattened(self.summed(updates, commitments, rng).sum, updates[0])

    def summed(
        self, updates: Sequence[Update], commitments: Sequence[bytes], rng: torch.Generator
    ) -> SecureSum:
        """Return the sum, what each party saw of it and what it cost."""
        seed = int(torch.randint(2**62, (), generator=rng))
        job = SumJob(
            vectors=tuple(map(flattened, updates)),
            bound=self.bound,
            entropy=Entropy(seed),
            context=tuple(commitments) if self.binds_model else (),
        )
        return self._run_by().run(job)

    def upload_bytes(self, plain: int) -> int:
        """Return the bytes that the protocol makes of `plain` ones, keys and the like apart."""
        return round(plain * protocol_card(self.protocol).expansion)

    def _run_by(self) -> SumProtocol:
        card = protocol_card(self.protocol)
        return card.build({p.name: getattr(self, p.name) for p in card.parameters})


def flattened(update: Update) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return all tensors of an update as one vector of doubles."""
    parts = [value.detach().reshape(-1).double().cpu() for value in update.values()]
    return torch.cat(parts).numpy()


def unflattened(vector: np.ndarray[tuple[int], np.dtype[np.float64]], like: Update) -> Update:
    """Return a vector as tensors of the shapes of `like`."""
    sizes = [value.numel() for value in like.values()]
    parts = torch.from_numpy(vector).split(sizes)
    return {
        name: part.view_as(value) for (name, value), part in zip(like.items(), parts, strict=True)
    }
