"""Local training of a round's cohort, batched where that is faster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ..core.defense import Defense
from ..core.errors import UsageError
from ..core.seeds import derive_seed, torch_rng
from .batched import BatchedTrainer, worthwhile
from .batches import Draws, draws_of, expected_batch
from .client import ClientTrainer
from .probe import traits
from .state import finite

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..core.task import Records, Task
    from ..core.views import Update


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LocalResult:
    """A client's raw update, and the indices (int64, distinct) of the records behind it."""

    client: int
    update: Update
    used: Tensor


class LocalTraining:
    """All clients of a job: what each draws next, and how each trains."""

    def __init__(
        self,
        task: Task,
        model: nn.Module,
        defenses: Sequence[Defense],
        *,
        seed: int,
        replica: int,
        batched: bool | None = None,
        sends: Mapping[int, Update] | None = None,
    ) -> None:
        found = traits(task, model)
        self._task, self._seed, self._replica = task, seed, replica
        self._clients = ClientTrainer(task, model, defenses, stochastic=found.stochastic)
        plain = all(type(d).gradient is Defense.gradient for d in defenses)
        self._batched = BatchedTrainer(task, model) if found.batchable and plain else None
        self._choice, self._sends = batched, sends or {}
        self._parameters = sum(p.numel() for p in model.parameters())
        self._sizes = [expected_batch(len(c.train), task.training.batch_size) for c in task.clients]
        self._draws: list[Draws] = [
            draws_of(defenses, len(client.train), size, torch_rng(seed, "batches", replica, i))
            for i, (client, size) in enumerate(zip(task.clients, self._sizes, strict=True))
        ]

    def run(
        self, number: int, cohort: Sequence[int], state: Update, rngs: Mapping[int, torch.Generator]
    ) -> Iterator[LocalResult]:
        """Train the cohort from `state` in round `number`; raise `UsageError` on divergence.

        Who sends what it was told to does not train.
        """
        for client in sorted(self._sends.keys() & set(cohort)):
            yield LocalResult(client=client, update=self._sends[client], used=_distinct([]))
        steps = range(self._task.training.local_steps)
        training = [c for c in cohort if c not in self._sends]
        draws = {c: [self._draws[c].draw() for _ in steps] for c in training}
        if not draws:
            return
        if self._batched and self._batch_it(draws):
            updates = self._all_at_once(self._batched, draws, state)
        else:
            updates = self._one_by_one(number, draws, state, rngs)
        for client, update in updates:
            if not finite(update):
                name, lr = self._task.clients[client].name, self._task.training.lr
                raise UsageError(
                    f"training diverged in round {number}: the update of client {client} "
                    f"({name!r}) is not finite; lower lr (now {lr:g})"
                )
            yield LocalResult(client=client, update=update, used=_distinct(draws[client]))

    def carried(self) -> dict[int, dict[str, Tensor]]:
        """Return by client what the defenses carry from its last step to its next."""
        return self._clients.carried()

    def _batch_it(self, draws: Mapping[int, list[Tensor]]) -> bool:
        sizes = {len(indices) for drawn in draws.values() for indices in drawn}
        if len(sizes) > 1 or 0 in sizes:
            return False
        if self._choice is not None:
            return self._choice
        one = self._task.clients[next(iter(draws))].train.inputs[0].numel()
        return worthwhile(len(draws), self._parameters, sizes.pop() * one)

    def _all_at_once(
        self, trainer: BatchedTrainer, draws: Mapping[int, list[Tensor]], state: Update
    ) -> Iterator[tuple[int, Update]]:
        data = {c: self._task.clients[c].train for c in draws}
        steps = [
            (
                torch.stack([data[c].inputs[draws[c][s]] for c in draws]),
                torch.stack([data[c].targets[draws[c][s]] for c in draws]),
            )
            for s in range(self._task.training.local_steps)
        ]
        stacked = trainer.run(state, steps)
        for i, client in enumerate(draws):
            yield client, {name: value[i] for name, value in stacked.items()}

    def _one_by_one(
        self,
        number: int,
        draws: Mapping[int, list[Tensor]],
        state: Update,
        rngs: Mapping[int, torch.Generator],
    ) -> Iterator[tuple[int, Update]]:
        for client, drawn in draws.items():
            train: Records = self._task.clients[client].train
            yield (
                client,
                self._clients.run(
                    client,
                    state,
                    [train.take(indices) for indices in drawn],
                    expected=self._sizes[client],
                    rng=rngs[client],
                    seed=derive_seed(self._seed, "local", self._replica, number, client),
                    number=number,
                ),
            )


def _distinct(drawn: Sequence[Tensor]) -> Tensor:
    if len(drawn) == 1:
        return drawn[0]
    every = [index for indices in drawn for index in indices.tolist()]
    return torch.tensor(list(dict.fromkeys(every)), dtype=torch.int64)
