"""What a client's local training sends back, as a function of the batches it trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.func import functional_call

from ....layers import as_trained

if TYPE_CHECKING:
    from torch import Tensor

    from .....core.views import Update, UpdateView


class LocalSteps:
    """A client's SGD steps from the model that it was sent, played again on guessed batches.

    The model stands in the mode in which clients train. Batch statistics are those of the
    guessed batch and leave no trace in the buffers; dropout is off, because its masks are
    not known. Parameters that are not in `names` stay as they were.
    """

    def __init__(self, view: UpdateView, names: Update) -> None:
        self._model = as_trained(view.model).requires_grad_(False)
        held = dict(self._model.named_parameters())
        self._sent = {name: held[name].detach().requires_grad_(True) for name in names}
        self._loss, self._lr, self._steps = view.loss, view.job.lr, view.job.local_steps

    def gradient(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Return the flat mean gradient `[p]` over the steps, differentiable in `inputs`.

        `inputs` `[steps * batch, *shape]` and `targets` `[steps * batch]` are the batches of
        the steps one after the other. It is (w_0 - w_T) / (steps * lr).
        """
        weights = self._sent
        total: list[Tensor] | None = None
        batches = zip(inputs.chunk(self._steps), targets.chunk(self._steps), strict=True)
        for x, y in batches:
            loss: Tensor = self._loss(functional_call(self._model, weights, (x,)), y)
            slopes = torch.autograd.grad(
                loss, list(weights.values()), create_graph=True, materialize_grads=True
            )
            weights = {
                name: weight - self._lr * slope
                for (name, weight), slope in zip(weights.items(), slopes, strict=True)
            }
            total = (
                list(slopes)
                if total is None
                else [a + b for a, b in zip(total, slopes, strict=True)]
            )
        assert total is not None
        return torch.cat([part.reshape(-1) for part in total]) / self._steps
