"""A fully connected first layer: its gradient, and which neurons an input turns on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ....core.errors import NotApplicableError
from ...layers import layer_runs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ....core.views import AggregateView, HistoryView, UpdateView

_SHIFT_ONE_STEP, _SHIFT_STEPS = 0.01, 0.05


@dataclass(frozen=True, slots=True, eq=False)
class FirstLayer:
    """A Linear that reads the flattened input `[n]` first; see `first_layer`.

    Fields
    ------
    weight, bias : names of its parameters; no bias is None
    model : the model that it is the first layer of
    input_shape : shape of one input
    shift : share of neurons that may switch on or off in the course of the local steps
    """

    weight: str
    bias: str | None
    model: nn.Module
    input_shape: tuple[int, ...]
    shift: float

    @property
    def has_bias(self) -> bool:
        """Whether the scale of a record can be read off."""
        return self.bias is not None

    def joined(self, gradient: Mapping[str, Tensor]) -> Tensor:
        """Return [dL/dW | dL/db] in float64, `[m, n + 1]`, or dL/dW alone `[m, n]`."""
        for name in filter(None, (self.weight, self.bias)):
            if name not in gradient:
                raise NotApplicableError(f"the update does not hold {name}: is it frozen?")
        weight = gradient[self.weight].double()
        if self.bias is None:
            return weight
        return torch.cat([weight, gradient[self.bias].double()[:, None]], dim=1)

    def records(self, directions: Tensor, value_range: tuple[float, float] | None) -> Tensor:
        """Return inputs `[k, *shape]` from directions of rows `[k, n (+ 1)]`, in range."""
        if self.bias is not None:
            flat = directions[:, :-1] / _away_from_zero(directions[:, -1:])
        else:
            flat = _guess_scale(directions, value_range)
        if value_range is not None:
            flat = flat.clamp(*value_range)
        return flat.float().view(len(flat), *self.input_shape)

    def directions(self, inputs: Tensor) -> Tensor:
        """Return the rows [x | 1] (or x) in float64 for inputs `[k, *shape]`, `[k, n (+ 1)]`."""
        flat = inputs.flatten(1).double()
        if self.bias is None:
            return flat
        return torch.cat([flat, torch.ones_like(flat[:, :1])], dim=1)

    def active(self, directions: Tensor) -> Tensor:
        """Return which neurons pass a gradient back for each direction, `[k, m]` bool."""
        inputs = self.records(directions, None)
        runs, outputs = layer_runs(self.model, inputs)
        probe = torch.linspace(0.3, 1.7, outputs.numel()).sin().view_as(outputs)
        (back,) = torch.autograd.grad((outputs * probe).sum(), [runs[0].output])
        return back != 0


def first_layer(view: UpdateView | AggregateView | HistoryView) -> FirstLayer:
    """Return the view's first layer.

    Raises `NotApplicableError` where the first layer with parameters is no Linear, or
    reads something else than the flattened input.
    """
    shape = view.job.input_shape
    inputs = torch.linspace(0, 1, 2 * max(1, torch.Size(shape).numel())).view(2, *shape)
    runs, _ = layer_runs(view.model, inputs)
    if not runs:
        raise NotApplicableError("the model has no layer with parameters")
    first = runs[0]
    if not isinstance(first.module, nn.Linear):
        kind = type(first.module).__name__
        raise NotApplicableError(f"the first layer is a {kind}: this attack reads a Linear")
    if first.input.dim() != 2 or not torch.equal(first.input, inputs.flatten(1)):
        raise NotApplicableError("the first Linear does not read the flattened input itself")
    prefix = f"{first.name}." if first.name else ""
    biased = "bias" in dict(first.module.named_parameters())
    bias = f"{prefix}bias" if biased else None
    shift = _SHIFT_ONE_STEP if view.job.local_steps == 1 else _SHIFT_STEPS
    return FirstLayer(f"{prefix}weight", bias, view.model, shape, shift)


def _away_from_zero(scale: Tensor) -> Tensor:
    return torch.where(scale < 0, scale.clamp_max(-1e-12), scale.clamp_min(1e-12))


def _guess_scale(directions: Tensor, value_range: tuple[float, float] | None) -> Tensor:
    """Without a bias: point where most of the mass is positive, and reach the range's end."""
    signed = directions * torch.where(directions.sum(1, keepdim=True) < 0, -1.0, 1.0)
    top = signed.abs().amax(dim=1, keepdim=True).clamp_min(1e-12)
    return signed / top * (max(map(abs, value_range)) if value_range else 1.0)
