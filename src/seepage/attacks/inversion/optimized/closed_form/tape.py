"""The slope of a gradient distance at a guessed batch, by four passes and no double backward.

Let G(x) be the gradient of the loss at the weights w, D a distance from the observed one and
v = dD/dG. The slope of D(G(x)) at x is that of <v, G(x)>, which is the derivative of
dL(w + e v, x)/dx along e at 0 (Pearlmutter 1994, "Fast exact multiplication by the
Hessian"). So one evaluation is a forward and a backward pass, which give G, and the same
two passes for what moves as the weights move by v. Autograd's double backward does the same
sums with several times the operations, and convolves with kernels as large as the image.
All restarts share each pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch

from .convolution import Convolution
from .layer import Parametric, total
from .losses import LossSlope
from .tracing import steps_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from .....core.views import Loss


class Distance(Protocol):
    """A distance of gradients from the observed one."""

    @property
    def weights(self) -> Mapping[str, float] | None:
        """The weight of each parameter in the sums (1 where it is left out).

        None where the distance is no function of such sums, but needs the whole gradient.
        """
        ...

    def of_sums(self, inner: Tensor, square: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return distances of <G, observed> and <G, G>, and their slopes at the two.

        All are `[restarts]`.
        """
        ...

    def aim(self, gradients: Tensor) -> tuple[Tensor, Tensor]:
        """Return the distances of gradients `[restarts, p]` and their slopes, as large."""
        ...


class Tape:
    """A model's layers with rules, and the loss behind them."""

    def __init__(self, model: nn.Module, loss: Loss, observed: Mapping[str, Tensor]) -> None:
        self._steps = steps_of(model, set(observed)) or []
        self._observed = dict(observed)
        self._loss = LossSlope(loss)
        self._parametric = [s.layer for s in self._steps if isinstance(s.layer, Parametric)]
        self._convolutions = [p for p in self._parametric if isinstance(p, Convolution)]
        self._seen: tuple[int, ...] | None = None
        self._moves = [False]
        for step in self._steps:
            own = isinstance(step.layer, Parametric)
            self._moves.append(own or any(self._moves[i] for i in step.sources))
        self._weights: Mapping[str, float] | None = None

    def __bool__(self) -> bool:
        """Return whether each layer of the model has a rule."""
        return bool(self._steps)

    def gradients(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Return the flat gradients `[restarts, p]` of inputs `[restarts, batch, *shape]`."""
        if self._apart(inputs, targets):
            ones = zip(inputs, each_restart(targets, len(inputs)), strict=True)
            return torch.cat([self.gradients(x[None], y[None]) for x, y in ones])
        with torch.no_grad():
            self._first(inputs, targets)
            return self._flat()

    def slope(
        self, inputs: Tensor, targets: Tensor, match: Distance
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return distances `[restarts]`, their slopes at the inputs, and at soft targets.

        Hard targets are `[batch]` or `[restarts, batch]`, soft ones
        `[restarts, batch, classes]`; for the former the last slope is None.
        """
        if self._apart(inputs, targets):
            ones = zip(inputs, each_restart(targets, len(inputs)), strict=True)
            parts = [self.slope(x[None], y[None], match) for x, y in ones]
            soft = [s for _, _, s in parts if s is not None]
            return (
                torch.cat([d for d, _, _ in parts]),
                torch.cat([s for _, s, _ in parts]),
                torch.cat(soft) if soft else None,
            )
        with torch.no_grad():
            self._first(inputs, targets)
            found = self._aim(match)
            moved: list[Tensor | None] = [None]
            for step in self._steps:
                moved.append(step.layer.tangent([moved[i] for i in step.sources]))
            last = moved[-1]
            if last is None:
                last = torch.zeros_like(self._outputs)
            slope, at_targets = self._loss.second(last)
            slopes: list[Tensor | None] = [None] * len(moved)
            slopes[-1] = slope
            for place in range(len(self._steps), 0, -1):
                step = self._steps[place - 1]
                parts = step.layer.backward_tangent(slopes[place])
                slopes[place] = None
                for source, part in zip(step.sources, parts, strict=True):
                    slopes[source] = total(slopes[source], part)
            at_inputs = slopes[0]
        if at_inputs is None:
            at_inputs = torch.zeros_like(inputs)
        if at_targets is not None:
            at_targets = at_targets.view(targets.shape)
        return found, at_inputs.view(inputs.shape), at_targets

    def _apart(self, inputs: Tensor, targets: Tensor) -> bool:
        """Return whether restarts go one by one: where a convolution is not small."""
        if len(inputs) == 1 or not self._convolutions:
            return False
        if inputs.shape[1:] != self._seen:
            self._seen = inputs.shape[1:]
            self._first(inputs[:1], each_restart(targets, len(inputs))[:1])
        return not all(layer.small for layer in self._convolutions)

    def _first(self, inputs: Tensor, targets: Tensor) -> None:
        """Run forward and backward, so that each layer knows its gradients."""
        restarts = len(inputs)
        targets = each_restart(targets, restarts)
        with torch.no_grad():
            values = [inputs.detach().flatten(0, 1)]
            for layer in self._parametric:
                layer.restarts = restarts
            for step in self._steps:
                values.append(step.layer.forward([values[i] for i in step.sources]))
            self._outputs = values[-1]
            slopes: list[Tensor | None] = [None] * len(values)
            slopes[-1] = self._loss.first(self._outputs, targets.flatten(0, 1), restarts)
            for place in range(len(self._steps), 0, -1):
                step, slope = self._steps[place - 1], slopes[place]
                if slope is None:
                    continue
                needed = any(self._moves[i] for i in step.sources)
                parts = step.layer.backward(slope, needed=needed)
                for source, part in zip(step.sources, parts, strict=True):
                    slopes[source] = total(slopes[source], part)

    def _aim(self, match: Distance) -> Tensor:
        """Set the directions in which the parameters move; return the distances."""
        weights = match.weights
        if weights is None:
            return self._aim_whole(match)
        if weights is not self._weights:
            self._weights = weights
            for layer in self._parametric:
                layer.observe(self._observed, dict(weights))
        sums = [layer.sums() for layer in self._parametric]
        inner, square = (torch.stack(parts).sum(0) for parts in zip(*sums, strict=True))
        found, at_inner, at_square = match.of_sums(inner, square)
        for layer in self._parametric:
            layer.combine(at_inner, 2 * at_square)
        return found

    def _aim_whole(self, match: Distance) -> Tensor:
        found, slope = match.aim(self._flat())
        parts = slope.split([v.numel() for v in self._observed.values()], 1)
        directions = {
            n: part.view(-1, *v.shape)
            for (n, v), part in zip(self._observed.items(), parts, strict=True)
        }
        for layer in self._parametric:
            layer.pull({n: directions[n] for n in layer.names})
        return found

    def _flat(self) -> Tensor:
        found = {n: g for layer in self._parametric for n, g in layer.gradients().items()}
        return torch.cat([found[n].flatten(1) for n in self._observed], 1)


def each_restart(targets: Tensor, restarts: int) -> Tensor:
    """Return targets `[restarts, batch, ...]`: hard ones `[batch]` are the same for all."""
    return targets.expand(restarts, len(targets)) if targets.ndim == 1 else targets
