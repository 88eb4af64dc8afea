"""The client's gradient as a function of a guessed batch, fast enough for an inner loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch

from ....layers import as_trained
from ..closed_form.tape import Tape, each_restart
from .convolutions import small_convolutions

if TYPE_CHECKING:
    from torch import Tensor

    from .....core.views import AggregateView, Update, UpdateView
    from ..closed_form.tape import Distance


class Slopes(Protocol):
    """What a search by slopes asks of whoever made the gradient."""

    def slope(
        self, inputs: Tensor, targets: Tensor, match: Distance
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return distances `[restarts]` of guesses, and slopes at inputs and soft targets."""
        ...


class Victim:
    """A copy of the model that a client was sent, and the gradient that it would send back.

    It stands in the mode in which clients train. Batch statistics are those of the guessed
    batch and leave no trace in the buffers; dropout is off, because its mask is not known.
    `observed` are the gradients by parameter name that guesses are compared with.
    """

    def __init__(self, view: UpdateView | AggregateView, observed: Update) -> None:
        model = as_trained(view.model)
        self._model, self._loss, self._observed = model, view.loss, observed
        parameters = dict(model.named_parameters())
        for name, parameter in parameters.items():
            parameter.requires_grad_(name in observed)
        self._parameters = [parameters[name] for name in observed]
        self._tape: Tape | None = None

    @property
    def closed_form(self) -> bool:
        """Whether every layer of the model has a rule, so that slopes need no autograd."""
        return bool(self._rules())

    def gradient(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Return the flat gradient `[p]` of the mean loss, itself differentiable in `inputs`."""
        loss: Tensor = self._loss(self._model(inputs), targets)
        parts = torch.autograd.grad(loss, self._parameters, create_graph=True)
        return torch.cat([part.reshape(-1) for part in parts])

    def gradients(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Return the gradients `[restarts, p]` of guesses `[restarts, batch, *shape]`.

        Targets are `[batch]`, or have a first axis for the restarts. All restarts share one
        pass where the layers suit it; they are values only, without a graph.
        """
        if self.closed_form:
            return self._rules().gradients(inputs, targets)
        pairs = zip(inputs, each_restart(targets, len(inputs)), strict=True)
        return torch.stack([self.gradient(x, y).detach() for x, y in pairs])

    def slope(
        self, inputs: Tensor, targets: Tensor, match: Distance
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return distances `[restarts]` of guesses `[restarts, batch, *shape]`, and their slopes.

        The slopes are those at the inputs, and at the targets where these are soft,
        `[restarts, batch, classes]` (else None). By `closed_form` where each layer has a
        rule, for all restarts at once where that is faster; else by double backward.
        """
        if self.closed_form:
            return self._rules().slope(inputs, targets, match)
        pairs = zip(inputs, each_restart(targets, len(inputs)), strict=True)
        found = zip(*(self._by_autograd(x, y, match) for x, y in pairs), strict=True)
        distances, slopes, soft = (list(column) for column in found)
        whole = [s for s in soft if s is not None]
        return torch.stack(distances), torch.stack(slopes), torch.stack(whole) if whole else None

    def _by_autograd(
        self, inputs: Tensor, targets: Tensor, match: Distance
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        soft = targets.is_floating_point() and targets.ndim == 2
        at = [inputs.detach().clone().requires_grad_()]
        if soft:
            at.append(targets.detach().clone().requires_grad_())
        with torch.enable_grad(), small_convolutions(self._model, inputs):
            gradient = self.gradient(at[0], at[1] if soft else targets)
            distance, direction = match.aim(gradient.detach()[None])
            slopes = torch.autograd.grad(gradient, at, direction[0])
        return distance[0], slopes[0], slopes[1] if soft else None

    def _rules(self) -> Tape:
        if self._tape is None:
            self._tape = Tape(self._model, self._loss, self._observed)
        return self._tape


def flat(update: Update) -> Tensor:
    """Return all values of an update in its order, `[p]`."""
    return torch.cat([value.reshape(-1) for value in update.values()])
