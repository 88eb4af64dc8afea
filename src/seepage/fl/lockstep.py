"""Federations of one kind on different records, trained in step by `torch.func`.

Small models spend most of a step on calling operators, which `vmap` pays once for all
federations. With one local step a client, a round is one gradient over the batches of the
whole cohort: the mean of gradients of equal batches is the gradient of their mean.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.func import functional_call, grad, vmap

from ..core.errors import UsageError
from ..core.seeds import torch_rng
from .batches import Epochs, cohort_of, expected_batch
from .state import finite, shared_state

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..core.task import Records, Task
    from ..core.views import Update


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Trained:
    """A federation's final state, and those before the rounds that were to be kept."""

    last: Update
    states: dict[int, Update]


def train_in_step(
    task: Task,
    pool: Records,
    deals: Sequence[Sequence[Tensor]],
    seeds: Sequence[int],
    keep: Collection[int],
) -> list[Trained]:
    """Train federations without defenses as `engine.train` would, up to rounding.

    `deals[k][c]` are the indices in `pool` of what client c of federation k holds; client c
    holds as many in each. The model has neither buffers nor randomness. Raises `UsageError`
    where one diverges.
    """
    start = [task.build(torch_rng(seed, "model", 0)) for seed in seeds]
    state = _stacked([shared_state(model) for model in start])
    rounds = _Rounds(task, pool, deals, seeds)
    step = _Step(task, start[0].train())
    kept: dict[int, Update] = {}
    for number in range(task.training.rounds):
        if number in keep:
            kept[number] = state
        state = step.run(state, rounds.batches(number))
        if not finite(state):
            raise UsageError(
                f"training diverged in round {number} of a simulated federation; lower lr (now "
                f"{task.training.lr:g})"
            )
    return [
        Trained(
            last={name: value[k] for name, value in state.items()},
            states={n: {name: v[k] for name, v in s.items()} for n, s in kept.items()},
        )
        for k in range(len(seeds))
    ]


class _Rounds:
    """What the cohorts of all federations draw, round after round, as `engine.train` does."""

    def __init__(
        self, task: Task, pool: Records, deals: Sequence[Sequence[Tensor]], seeds: Sequence[int]
    ) -> None:
        self._task, self._pool, self._deals, self._seeds = task, pool, deals, seeds
        size = task.training.batch_size
        self._draws = [
            [
                Epochs(len(part), expected_batch(len(part), size), torch_rng(s, "batches", 0, c))
                for c, part in enumerate(parts)
            ]
            for s, parts in zip(seeds, deals, strict=True)
        ]

    def batches(self, number: int) -> list[tuple[Tensor, Tensor]]:
        """Return inputs `[k, c, b, *shape]` and targets `[k, c, b]` of each local step."""
        clients, cohort = len(self._task.clients), self._task.cohort
        cohorts = [
            cohort_of(clients, cohort, torch_rng(s, "cohort", 0, number)) for s in self._seeds
        ]
        steps = range(self._task.training.local_steps)
        drawn = [
            [[self._deals[k][c][self._draws[k][c].draw()] for _ in steps] for c in chosen]
            for k, chosen in enumerate(cohorts)
        ]
        index = torch.stack([torch.stack([torch.stack(c) for c in k]) for k in drawn])
        return [
            (self._pool.inputs[index[:, :, s]], self._pool.targets[index[:, :, s]]) for s in steps
        ]


class _Step:
    """One round of every federation: FedSGD, or FedAvg with the clients apart."""

    def __init__(self, task: Task, model: nn.Module) -> None:
        def loss(parameters: Update, inputs: Tensor, targets: Tensor) -> Tensor:
            """Return the loss on a batch, as a function of the parameters."""
            return task.loss(functional_call(model, dict(parameters), (inputs,)), targets)

        self._lr = task.training.lr
        self._each = vmap(grad(loss))

    def run(self, state: Update, steps: Sequence[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
        """Return the states `[k, *shape]` after the round."""
        clients = steps[0][0].shape[1]
        if len(steps) == 1:
            inputs, targets = (part.flatten(1, 2) for part in steps[0])
            return self._moved(state, self._each(state, inputs, targets))
        here = {n: v.repeat_interleave(clients, 0) for n, v in state.items()}
        for inputs, targets in steps:
            here = self._moved(here, self._each(here, inputs.flatten(0, 1), targets.flatten(0, 1)))
        return {n: v.unflatten(0, (-1, clients)).mean(1) for n, v in here.items()}

    def _moved(self, state: Update, gradient: Update) -> dict[str, Tensor]:
        return {name: value - self._lr * gradient[name] for name, value in state.items()}


def _stacked(states: Sequence[Update]) -> dict[str, Tensor]:
    return {name: torch.stack([state[name] for state in states]) for name in states[0]}
