"""The shape of an attack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import torch

    from .claims import Claim
    from .views import Update


@runtime_checkable
class Attack(Protocol):
    """A frozen dataclass of hyper-parameters that turns a View into a Claim.

    It must depend on nothing but the view and `rng`; it raises `NotApplicableError`
    where it can't work. Hyper-parameters are its fields, and nothing else is.
    """

    def __call__(self, view: Any, rng: torch.Generator) -> Claim:
        """Attack `view`, drawing all randomness from `rng`."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ServerMove:
    """What a malicious server sends: a state per client (missing = honest) and the cohort."""

    states: Mapping[int, Update]
    cohort: tuple[int, ...] | None = None


@runtime_checkable
class ActiveAttack(Attack, Protocol):
    """An attack that also acts: it chooses what the clients receive in a round."""

    def act(self, knowledge: Any, rng: torch.Generator) -> ServerMove:
        """Return the server's move for the coming round, given what it knows so far."""
        ...
