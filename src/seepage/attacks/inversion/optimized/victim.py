"""The client's gradient as a function of a guessed batch, fast enough for an inner loop."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]

if TYPE_CHECKING:
    from torch import Tensor

    from ....core.views import AggregateView, Update, UpdateView


class Victim:
    """A copy of the model that a client was sent, and the gradient that it would send back.

    It stands in the mode in which clients train. Batch statistics are those of the guessed
    batch and leave no trace in the buffers; dropout is off, because its mask is not known.
    """

    def __init__(self, view: UpdateView | AggregateView, names: Update) -> None:
        model = deepcopy(view.model)
        for module in model.modules():
            if isinstance(module, nn.modules.dropout._DropoutNd):  # pyright: ignore[reportPrivateUsage]
                module.eval()
            if isinstance(module, _BatchNorm):
                module.momentum = 0.0
        self._model, self._loss = model, view.loss
        parameters = dict(model.named_parameters())
        for name, parameter in parameters.items():
            parameter.requires_grad_(name in names)
        self._parameters = [parameters[name] for name in names]

    def gradient(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Return the flat gradient `[p]` of the mean loss, itself differentiable in `inputs`."""
        loss: Tensor = self._loss(self._model(inputs), targets)
        parts = torch.autograd.grad(loss, self._parameters, create_graph=True)
        return torch.cat([part.reshape(-1) for part in parts])


def flat(update: Update) -> Tensor:
    """Return all values of an update in its order, `[p]`."""
    return torch.cat([value.reshape(-1) for value in update.values()])
