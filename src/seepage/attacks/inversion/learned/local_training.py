"""The updates that a client would send for batches of the attacker's own records."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ....core.views import Loss

    Clip = Callable[[dict[str, Tensor]], dict[str, Tensor]]

# Values of updates that are held at once: 64 MB of floats.
_MOST_VALUES = 2**24


class LocalTraining:
    """Plain SGD from a given model, in the mode in which clients train, on many batches.

    Batches run together by `vmap`; a model with buffers (batch statistics), or with a layer
    that `vmap` does not take, runs them one by one.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        names: Sequence[str],
        *,
        steps: int,
        lr: float,
        clip: Clip | None = None,
    ) -> None:
        """`names` are the tensors of an update in order; `clip` clips gradients of records."""
        self._model, self._loss, self._names = deepcopy(model), loss, list(names)
        self._steps, self._lr, self._clip = steps, lr, clip
        for name, parameter in self._model.named_parameters():
            parameter.requires_grad_(name in self._names)
        self._state = {n: v.detach().clone() for n, v in self._model.state_dict().items()}
        moved = self._model.named_parameters()
        self._parameters = {n: p for n, p in moved if p.requires_grad}
        self._start = {n: p.detach() for n, p in self._parameters.items()}
        self._together = not any(True for _ in self._model.buffers())

    def updates(self, inputs: Tensor, targets: Tensor, rng: torch.Generator) -> Tensor:
        """Return an update `[n, p]` for each of `n` sets of inputs `[n, steps * batch, *shape]`."""
        size = sum(self._state[name].numel() for name in self._names)
        records = inputs.shape[1] if self._clip is not None else 1
        chunk = max(1, min(128, _MOST_VALUES // (size * records)))
        found: list[Tensor] = []
        with torch.random.fork_rng(devices=[]):
            # Models with dropout draw from the global generator, which is given back as it was.
            torch.manual_seed(int(torch.randint(2**62, (), generator=rng)))
            for x, y in zip(inputs.split(chunk), targets.split(chunk), strict=True):
                found.append(self._chunk(x, y))
        return torch.cat(found)

    def _chunk(self, inputs: Tensor, targets: Tensor) -> Tensor:
        if self._together:
            run: Any = vmap(self._functional, randomness="different")
            try:
                return run(inputs, targets).detach()
            except (RuntimeError, ValueError, IndexError, TypeError):
                self._together = False
        return torch.stack([self._alone(x, y) for x, y in zip(inputs, targets, strict=True)])

    def _functional(self, inputs: Tensor, targets: Tensor) -> Tensor:
        moved = {n: torch.zeros_like(p) for n, p in self._start.items()}
        at = self._start
        for x, y in zip(inputs.chunk(self._steps), targets.chunk(self._steps), strict=True):
            slope = self._slope(at, x, y)
            moved = {n: m - self._lr * slope[n] for n, m in moved.items()}
            at = {n: p + moved[n] for n, p in self._start.items()}
        return self._flat(moved)

    def _slope(self, at: dict[str, Tensor], x: Tensor, y: Tensor) -> dict[str, Tensor]:
        def loss(parameters: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
            """Return the loss on a batch, as a function of the parameters."""
            return self._loss(functional_call(self._model, parameters, (x,)), y)

        slope: Any = grad(loss)
        if self._clip is None:
            return slope(at, x, y)
        each: Any = vmap(slope, in_dims=(None, 0, 0), randomness="different")
        return _mean(self._clip(each(at, x[:, None], y[:, None])))

    def _alone(self, inputs: Tensor, targets: Tensor) -> Tensor:
        self._model.load_state_dict(self._state)
        moved = {n: torch.zeros_like(p) for n, p in self._start.items()}
        for x, y in zip(inputs.chunk(self._steps), targets.chunk(self._steps), strict=True):
            if self._clip is None:
                slope = self._gradient(x, y)
            else:
                each = [self._gradient(x[i : i + 1], y[i : i + 1]) for i in range(len(x))]
                stacked = {n: torch.stack([g[n] for g in each]) for n in moved}
                slope = _mean(self._clip(stacked))
            with torch.no_grad():
                for name, parameter in self._parameters.items():
                    moved[name] = moved[name] - self._lr * slope[name]
                    parameter.copy_(self._state[name] + moved[name])
        now = dict(self._model.named_buffers())
        shifts = {n: now[n] - self._state[n] for n in self._names if n in now}
        return self._flat({**moved, **shifts})

    def _gradient(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        loss: Tensor = self._loss(self._model(x), y)
        own = list(self._parameters.values())
        parts = torch.autograd.grad(loss, own, materialize_grads=True)
        return dict(zip(self._parameters, parts, strict=True))

    def _flat(self, moved: dict[str, Tensor]) -> Tensor:
        return torch.cat([moved[name].flatten() for name in self._names])


def _mean(gradients: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: g.mean(0) for name, g in gradients.items()}
