"""The last linear layer, and what reaches it: the only place where a fishing server works."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ....core.errors import NotApplicableError
from ...layers import as_trained, layer_runs

if TYPE_CHECKING:
    from ....core.views import AggregateView, ServerKnowledge, UpdateView

_AT_ONCE = 64


@dataclass(frozen=True, slots=True, eq=False)
class LastLayer:
    """A Linear with bias that puts out one logit a class; `name` is empty where it is the model.

    Fields
    ------
    name : the module's name in the model
    classes, width : its outputs and inputs
    """

    name: str
    classes: int
    width: int

    @property
    def weight(self) -> str:
        """Return the name of its weight."""
        return f"{self.name}.weight" if self.name else "weight"

    @property
    def bias(self) -> str:
        """Return the name of its bias."""
        return f"{self.name}.bias" if self.name else "bias"

    def within(self, model: nn.Module) -> tuple[Tensor, Tensor]:
        """Return its weight `[classes, width]` and bias `[classes]` in `model`, detached."""
        module: Any = model.get_submodule(self.name)
        return module.weight.detach(), module.bias.detach()

    def replaced(self, model: nn.Module, weight: Tensor, bias: Tensor) -> nn.Module:
        """Return a copy of `model` with other values in this layer."""
        changed = deepcopy(model)
        module: Any = changed.get_submodule(self.name)
        with torch.no_grad():
            module.weight.copy_(weight)
            module.bias.copy_(bias)
        return changed

    def features(self, model: nn.Module, inputs: Tensor) -> Tensor:
        """Return what reaches the layer for `inputs` `[n, *shape]` in training, `[n, width]`.

        Normalization by batch runs on batches of 64; dropout is off.
        """
        probe, caught = as_trained(model), list[Tensor]()
        head = probe.get_submodule(self.name)
        head.register_forward_pre_hook(lambda _, args: caught.append(args[0].detach()))
        with torch.no_grad():
            for part in inputs.split(_AT_ONCE):
                probe(part)
        return torch.cat(caught)


def last_layer(view: UpdateView | AggregateView | ServerKnowledge) -> LastLayer:
    """Return the last layer with parameters.

    Raises `NotApplicableError` where it is no Linear with a bias, or has not an output a class.
    """
    classes = view.job.classes
    if classes < 2:
        raise NotApplicableError("the job is a regression: there is no class to fish for")
    runs, outputs = layer_runs(view.model, torch.zeros(2, *view.job.input_shape))
    last = runs[-1] if runs else None
    if last is None or not isinstance(last.module, nn.Linear) or last.module.bias is None:  # pyright: ignore[reportUnnecessaryComparison]
        raise NotApplicableError("the last layer with parameters is no Linear with a bias")
    if last.output.ndim != 2 or outputs.shape != last.output.shape or outputs.shape[1] != classes:
        raise NotApplicableError(f"the last layer does not put out {classes} logits")
    return LastLayer(last.name, classes, last.module.in_features)
