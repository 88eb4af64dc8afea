"""The slope of the loss at the model's outputs, and how it moves with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

    from .....core.views import Loss


class LossSlope:
    """The mean loss of each restart's batch; outputs are `[restarts * batch, ...]`."""

    def __init__(self, loss: Loss) -> None:
        self._loss = loss
        self._plain = _is_cross_entropy(loss)

    def first(self, outputs: Tensor, targets: Tensor, restarts: int) -> Tensor:
        """Return the slope of the sum of the restarts' mean losses at the outputs."""
        self._soft = targets.is_floating_point() and targets.ndim == outputs.ndim
        if self._plain and not self._soft:
            self._batch = len(outputs) // restarts
            self._probability = outputs.softmax(1)
            slope = self._probability.clone()
            slope[torch.arange(len(slope)), targets] -= 1
            return slope.div_(self._batch)
        with torch.enable_grad():
            self._outputs = outputs.detach().requires_grad_()
            self._targets = targets.detach().requires_grad_(self._soft)
            value = self._loss(self._outputs, self._targets) * restarts
            (self._slope,) = torch.autograd.grad(value, self._outputs, create_graph=True)
        return self._slope.detach()

    def second(self, moved: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return how that slope moves as the outputs do by `moved`, and soft targets' slope.

        The latter is the slope at the targets of <first, moved>, None for hard targets.
        """
        if self._plain and not self._soft:
            weighted = self._probability * moved
            out = weighted.addcmul_(self._probability, weighted.sum(1, keepdim=True), value=-1)
            return out.div_(self._batch), None
        at = [self._outputs, self._targets] if self._soft else [self._outputs]
        found = torch.autograd.grad(
            self._slope, at, moved, allow_unused=True, materialize_grads=True
        )
        return found[0], found[1] if self._soft else None


def _is_cross_entropy(loss: object) -> bool:
    """Return whether this is the plain cross-entropy, of class indices, as a mean."""
    if loss is F.cross_entropy:
        return True
    return (
        isinstance(loss, nn.CrossEntropyLoss)
        and type(loss) is nn.CrossEntropyLoss
        and loss.weight is None
        and loss.reduction == "mean"
        and loss.label_smoothing == 0
        and loss.ignore_index < 0
    )
