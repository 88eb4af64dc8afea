"""Local training of one client: SGD steps in training mode, and the update that results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from copy import deepcopy
from typing import TYPE_CHECKING

import torch

from ..core.defense import Defense, LocalStep
from ..core.errors import ModelError, RefusedError
from .probe import first_line
from .state import parts

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..core.task import Records, Task
    from ..core.views import Update


class ClientTrainer:
    """Trains clients one by one on a working copy of the model.

    Defenses that override `gradient` are asked at each step. Integer and unsaved buffers
    are kept per client from round to round, and so is what those defenses carry on.
    """

    def __init__(
        self,
        task: Task,
        model: nn.Module,
        defenses: Sequence[Defense],
        *,
        stochastic: bool,
        carried: Mapping[int, Mapping[str, Tensor]] | None = None,
    ) -> None:
        self._task = task
        self._model = deepcopy(model).train()
        self._parts = parts(self._model)
        self._parameters: list[Tensor] = list(self._parts.parameters.values())
        self._defenses = [d for d in defenses if type(d).gradient is not Defense.gradient]
        self._stochastic = stochastic
        self._fresh = {n: b.detach().clone() for n, b in self._parts.local.items()}
        self._kept: dict[int, dict[str, Tensor]] = {}
        self._carried = {client: dict(values) for client, values in (carried or {}).items()}

    def carried(self) -> dict[int, dict[str, Tensor]]:
        """Return by client what the defenses carry from its last step to its next."""
        return {client: dict(values) for client, values in self._carried.items()}

    def run(
        self,
        client: int,
        state: Update,
        steps: Sequence[Records],
        *,
        expected: int,
        rng: torch.Generator,
        seed: int,
        number: int = 0,
    ) -> dict[str, Tensor]:
        """Return new minus old value of each shared tensor after training on `steps`.

        With one step the parameters' part is -lr times the gradient, exactly. `rng` is for
        the defenses, `seed` for a model that draws random numbers (dropout), and `number`
        is the round.
        """
        self._load(client, state)
        fork = torch.random.fork_rng(devices=[]) if self._stochastic else nullcontext()
        with fork:
            if self._stochastic:
                torch.manual_seed(seed)
            update = self._steps(client, state, steps, expected, rng, number * len(steps))
        if self._fresh:
            self._kept[client] = {n: b.detach().clone() for n, b in self._parts.local.items()}
        for name, value in self._parts.buffers.items():
            update[name] = value - state[name]
        return update

    def _load(self, client: int, state: Update) -> None:
        self._model.train()
        with torch.no_grad():
            for name, value in self._parts.shared().items():
                value.copy_(state[name])
            for name, value in self._kept.get(client, self._fresh).items():
                self._parts.local[name].copy_(value)

    def _steps(
        self,
        client: int,
        state: Update,
        steps: Sequence[Records],
        expected: int,
        rng: torch.Generator,
        first: int,
    ) -> dict[str, Tensor]:
        lr, own = self._task.training.lr, self._parts.parameters
        if len(steps) == 1:
            gradient = self._gradient(client, steps[0], expected, rng, first)
            return {name: g * -lr for name, g in zip(own, gradient, strict=True)}
        for number, batch in enumerate(steps, first):
            gradient = self._gradient(client, batch, expected, rng, number)
            with torch.no_grad():
                for parameter, g in zip(self._parameters, gradient, strict=True):
                    parameter.sub_(g, alpha=lr)
        return {name: p.detach() - state[name] for name, p in own.items()}

    def _gradient(
        self, client: int, batch: Records, expected: int, rng: torch.Generator, number: int
    ) -> list[Tensor]:
        if self._defenses:
            protected = self._protected(client, batch, expected, rng, number)
            if protected is not None:
                return protected
        if not len(batch):
            return [torch.zeros_like(p) for p in self._parameters]
        try:
            loss = self._task.loss(self._model(batch.inputs), batch.targets)
            gradient = torch.autograd.grad(loss, self._parameters, materialize_grads=True)
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            raise ModelError(
                f"client {self._task.clients[client].name!r}: the model or its loss fails on a "
                f"batch of {len(batch)}: {first_line(error)}"
            ) from error
        if len(batch) == expected:
            return list(gradient)
        # A Poisson batch: its sum is divided by the expected size, which is public.
        return [g * (len(batch) / expected) for g in gradient]

    def _protected(
        self, client: int, batch: Records, expected: int, rng: torch.Generator, number: int
    ) -> list[Tensor] | None:
        step = LocalStep(
            model=self._model,
            loss=self._task.loss,
            inputs=batch.inputs,
            targets=batch.targets,
            expected_batch=expected,
            number=number,
            carried=self._carried.setdefault(client, {}),
        )
        given: list[tuple[str, Update]] = []
        for defense in self._defenses:
            gradient = defense.gradient(step, rng)
            if gradient is not None:
                given.append((type(defense).__name__, gradient))
        for parameter in self._parameters:
            parameter.grad = None
        if not given:
            return None
        if len(given) > 1:
            raise RefusedError(
                f"{' and '.join(name for name, _ in given)} each replace the gradient: keep one"
            )
        owner, gradient = given[0]
        own = self._parts.parameters
        odd = gradient.keys() ^ own.keys()
        odd |= {n for n in gradient.keys() & own.keys() if gradient[n].shape != own[n].shape}
        if odd:
            raise RefusedError(
                f"{owner} returned a gradient that does not match the model at "
                f"{', '.join(sorted(odd))}"
            )
        return [gradient[name].detach() for name in own]
