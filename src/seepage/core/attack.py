"""The shape of an attack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import torch
    from torch import nn

    from .claims import Claim
    from .views import ServerKnowledge


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
    """What a malicious server does in a round.

    Fields
    ------
    models : the model that a client gets, by client (missing: the honest one). Models of
        one round have the same parameter names and shapes where their updates are summed.
        A model may be of another architecture than the job's, if it takes the same inputs
        and gives the same outputs: in cross-device jobs the server ships the code as well.
    cohort : the clients that take part, of the job's; None: those that were drawn
    sybils : how many clients of the server's own take part beside them. They send updates of
        zeros, without noise, and commit to what the others commit to: nobody can tell them
        from clients where the server says who is one
    """

    models: Mapping[int, nn.Module]
    cohort: tuple[int, ...] | None = None
    sybils: int = 0


@runtime_checkable
class ActiveAttack(Attack, Protocol):
    """An attack that also acts: it chooses what the clients receive in a round.

    `__call__` then gets the view of that round, in which `model` (and `sent`) are the
    models as they were sent: all that the attack needs of its own move it reads there.
    """

    def act(self, knowledge: ServerKnowledge, rng: torch.Generator) -> ServerMove:
        """Return the server's move for the coming round, given what it knows so far."""
        ...
