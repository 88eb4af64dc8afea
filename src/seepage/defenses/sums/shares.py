"""Sums and robust means on shares (`crypto.spu`, `crypto.hybrid`), in every round of a job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from .protected_sum import ProtectedSum, unflattened

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from ...core.views import Update

_MEANS = ("median", "trimmed-mean")


@dataclass(frozen=True, kw_only=True)
class ReducedSum(ProtectedSum):
    """Base of the defenses that add, or robustly reduce, updates that nobody sees.

    Fields
    ------
    bound : public range of an entry of an update, > 0
    reduction : "sum"; "clip": of updates clipped to `clip_norm`; "median" or "trimmed-mean" of
        each coordinate
    clip_norm : the longest L2 norm that is left as it is, > 0
    trim : clients that a trimmed mean leaves out at each end of a coordinate, >= 1
    timeout : seconds of silence after which a sum is aborted, > 0
    """

    bound: float = 16.0
    reduction: str = "sum"
    clip_norm: float = 1.0
    trim: int = 1
    timeout: float = 600.0

    def add_up(
        self, updates: Sequence[Update], commitments: Sequence[bytes], rng: torch.Generator
    ) -> Update:
        """Return what the parties compute, as a sum: a mean stands for as many updates."""
        found = self.summed(updates, commitments, rng)
        stands_for = len(found.survivors) if self.reduction in _MEANS else 1
        return unflattened(found.sum * stands_for, updates[0])


@dataclass(frozen=True, kw_only=True)
class SharedSum(ReducedSum):
    """What both protocols of SPU have beside that.

    They run in an environment of their own: `seepage doctor --make spu`.

    Fields
    ------
    clamp : hold shared entries to the bound before they are clipped or sorted
    threshold : fewest updates whose reduction is revealed, >= 2
    """

    clamp: bool = True
    threshold: int = 2


@dataclass(frozen=True, kw_only=True)
class ABY3(SharedSum):
    """Hides single updates from each of three parties that keep to the protocol."""

    protocol: ClassVar[str] = "aby3"


@dataclass(frozen=True, kw_only=True)
class SEMI2K(SharedSum):
    """Hides single updates from all computing parties but one; they keep to the protocol.

    Fields
    ------
    parties : that compute, >= 2
    trusted_first_party : let party 0 make the triples and see everything; all but sums need it
    """

    protocol: ClassVar[str] = "semi2k"

    parties: int = 2
    trusted_first_party: bool = False


@dataclass(frozen=True, kw_only=True)
class Hybrid(ReducedSum):
    """Hides single updates: clients encrypt them, three parties reduce shares, clients open.

    It runs in two environments: `seepage doctor --make openfhe --make spu`.

    Fields
    ------
    threshold : clients that it takes to open anything (None: as the protocol says)
    minimum_cohort : fewest updates whose reduction is revealed, >= 2
    """

    protocol: ClassVar[str] = "hybrid"

    threshold: int | None = None
    minimum_cohort: int = 2
