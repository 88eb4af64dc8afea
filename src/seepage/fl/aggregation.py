"""What the server does with a round's updates, and the defenses around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from ..core.errors import RefusedError, UsageError
from .state import finite

if TYPE_CHECKING:
    from torch import Tensor

    from ..core.defense import Defense
    from ..core.views import Update


class Aggregation:
    """Defends updates as they come in, sums them, and releases their defended mean.

    Raises `UsageError` where two defenses would form the sum.
    """

    def __init__(self, defenses: Sequence[Defense], lr: float) -> None:
        self._defenses = tuple(defenses)
        adding = [defense for defense in defenses if defense.adds_up]
        if len(adding) > 1:
            names = " and ".join(type(d).__name__ for d in adding)
            raise UsageError(f"{names} would each add the updates up: a job has one of them")
        self._adding = adding[0] if adding else None
        self._kept: list[Update] = []
        self._strangers = 0
        self._names = " + ".join(type(d).__name__ for d in defenses)
        self._lr = lr
        self._total: dict[str, Tensor] = {}
        self._types: dict[str, torch.dtype] = {}
        self._received = 0
        self._commitments: list[bytes] = []

    def receive(
        self,
        number: int,
        client: int,
        update: Update,
        rng: torch.Generator,
        commitment: bytes = b"",
    ) -> Update:
        """Count a raw update in; return it as it left the client."""
        self._commitments.append(commitment)
        sent = update
        for defense in self._defenses:
            sent = defense.protect_update(sent, rng)
        counted = sent
        for defense in self._defenses:
            counted = defense.bound_update(counted)
        if self._defenses:
            where = f"round {number}, client {client}"
            _accept(sent, update, self._names, where)
            _accept(counted, self._total or update, self._names, where, same=bool(self._total))
        self._count(update, counted)
        return sent

    def readable(self, sent: Mapping[int, Update]) -> dict[int, Update]:
        """Return what can be read of the updates that left the clients of a round."""
        updates: Sequence[Update] = list(sent.values())
        for defense in self._defenses:
            updates = defense.in_clear(updates)
        return dict(zip(sent, updates, strict=True))

    def _count(self, update: Update, counted: Update) -> None:
        if self._adding:
            self._kept.append({name: value.detach() for name, value in counted.items()})
        if not self._received:
            self._types = {name: value.dtype for name, value in update.items()}
            self._total = {name: value.detach().clone() for name, value in counted.items()}
        elif not self._adding:
            for name, value in self._total.items():
                value.add_(counted[name].detach())
        self._received += 1

    def add_silent(self, clients: int) -> None:
        """Count in so many updates of zeros, that commit to what the last one received did."""
        self._commitments += self._commitments[-1:] * clients
        zeros = {name: torch.zeros_like(value) for name, value in self._total.items()}
        self._kept += [zeros] * (clients if self._adding else 0)
        self._received += clients
        self._strangers += clients

    def close(self, number: int, rng: torch.Generator) -> Update:
        """Return the defended mean of what was received in the model's types, and start anew.

        Raises `RefusedError` where the clients' commitments differ: they were not sent the
        same model, so their updates do not add up; and where some are strangers to the others,
        under a defense by which clients know each other.
        """
        knowing = [type(d).__name__ for d in self._defenses if d.registered]
        if self._strangers and knowing:
            raise RefusedError(
                f"round {number}: {self._strangers} of the clients are not registered, and "
                f"{' and '.join(knowing)} adds up with registered ones only"
            )
        if (different := len(set(self._commitments))) > 1:
            raise RefusedError(
                f"round {number}: the clients committed to {different} different "
                "models, so that their updates do not add up"
            )
        total: Update = self._total
        if self._adding:
            total = self._adding.add_up(self._kept, self._commitments, rng)
        plain = {name: value / self._received for name, value in total.items()}
        aggregate: Update = plain
        for defense in self._defenses:
            aggregate = defense.protect_aggregate(aggregate, self._received, rng)
        if self._defenses:
            _accept(aggregate, plain, self._names, f"round {number}, aggregate")
        self._total, self._received, self._commitments, self._kept = {}, 0, [], []
        self._strangers = 0
        # A defense may count in integers, or in doubles that hold them.
        return {name: value.to(self._types[name]) for name, value in aggregate.items()}

    def apply(self, number: int, state: Update, aggregate: Update) -> Update:
        """Return the state of the next round."""
        moved = {
            name: value + aggregate[name].detach() if name in aggregate else value
            for name, value in state.items()
        }
        if not finite(moved):
            raise UsageError(
                f"training diverged in round {number}: the global state is not finite after "
                f"the updates of all clients were added; lower lr (now {self._lr:g})"
            )
        return moved


def _accept(update: Update, like: Update, names: str, where: str, *, same: bool = False) -> None:
    """Raise `RefusedError` where a defended update is no update of this model.

    Tensors may be left out (they then stay as they are), but by all clients alike.
    """
    odd = update.keys() ^ like.keys() if same else update.keys() - like.keys()
    odd |= {n for n in update.keys() & like.keys() if update[n].shape != like[n].shape}
    if odd:
        raise RefusedError(
            f"{names}: the defended update does not match the model at "
            f"{', '.join(sorted(odd))} ({where}); nothing was released"
        )
    if not finite(update):
        raise RefusedError(
            f"{names}: the defended update is not finite ({where}); nothing was released"
        )
