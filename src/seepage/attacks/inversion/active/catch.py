"""What a fished update says of the records that were caught, and of how many there are.

With d_i = p_c - [y_i = c] of record i of N, the gradients of the bias and the weight row of
class c are s = sum d_i / N and r = sum d_i h_i / N, and the layers below get sum d_i
grad(w.h_i) / N. If one record was caught, r / s are its features, G / s is the gradient of
w.h at that record alone, and its own d must be N s: that is the test whether it was one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ....core.errors import NotApplicableError
from ..observed import observed_gradient, observed_records

if TYPE_CHECKING:
    from torch import nn

    from ....core.views import AggregateView, UpdateView
    from .last_layer import LastLayer

_SILENT, _BEYOND = 30.0, 10.0
_ALONE, _FAINTEST = 0.1, 1e-6
_LOST, _ROUNDS, _MUTED, _BELOW = 0.1, 0.25, 100.0, 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Catch:
    """The records that got away with a gradient.

    Fields
    ------
    target : the class c that was fished for
    own : whether they are of that class (else of any other)
    count : how many equal records would give as much; 0 where the batch size is not known, or
        their features are lost
    features : the mean of their features, by weight, `[width]`
    lost : whether an update to large weights has rounded the features off
    gradient : of -log p_c for the one record, under a model where p_c = 0, by name
    """

    target: int
    own: bool
    count: float
    features: Tensor
    lost: bool
    gradient: dict[str, Tensor]

    @property
    def alone(self) -> bool:
        """Whether the gradient is one record's, as far as it shows."""
        return abs(self.count - 1) < _ALONE


def read_catch(view: UpdateView | AggregateView, layer: LastLayer) -> Catch | None:
    """Return what was caught, or None where the gradient of class c is next to zero.

    Raises `NotApplicableError` where the model is none that fishing sends, or the update
    does not hold the last layer.
    """
    target = bait_class(view.model, layer)
    gradient = observed_gradient(view)
    if not {layer.weight, layer.bias} <= gradient.keys():
        raise NotApplicableError("the update does not hold the last layer")
    weight, bias = layer.within(view.model)
    row, mass = gradient[layer.weight][target].double(), float(gradient[layer.bias][target])
    known = observed_records(view)
    # Below it, 1 - p_c is what float32 leaves of p_c = 1.
    if abs(mass) * max(known, 1) < _FAINTEST or not bool(row.any()):
        return None
    features = row / mass
    logits = weight.double() @ features + bias.double()
    others = torch.arange(layer.classes) != target
    odds = logits[target] - logits[others].logsumexp(0)
    expected = float(torch.sigmoid(-odds if mass < 0 else odds))
    step = view.job.lr * view.job.local_steps
    rounded = _ROUNDS * torch.finfo(weight.dtype).eps * float(weight[target].norm()) / step
    lost = rounded > _LOST * float(row.norm())
    records = 0 if lost else known
    below = {n: -g / mass for n, g in gradient.items() if n not in (layer.weight, layer.bias)}
    parts = torch.full((layer.classes,), 1 / (layer.classes - 1), dtype=features.dtype)
    parts[target] = -1.0
    head = {layer.weight: parts[:, None] * features, layer.bias: parts}
    whole = {name: below.get(name, head.get(name)) for name in gradient}
    return Catch(
        target=target,
        own=mass < 0,
        count=records * abs(mass) / max(expected, 1e-30),
        features=features,
        lost=lost,
        gradient={n: g.to(gradient[n].dtype) for n, g in whole.items() if g is not None},
    )


def bait_class(model: nn.Module, layer: LastLayer) -> int:
    """Return the one class with a weight; `NotApplicableError` where it is not one alone."""
    rows = layer.within(model)[0].abs().sum(1)
    found = rows.nonzero().flatten()
    if len(found) != 1:
        raise NotApplicableError("the model that was sent is none that fishing sends")
    return int(found)


def balanced(
    model: nn.Module, layer: LastLayer, catch: Catch
) -> tuple[nn.Module, dict[str, Tensor]]:
    """Return model and gradient as if the bait were of another length, chosen for inversion.

    A bait k times as long makes the gradient below k times as large, and leaves the last
    layer's as it is. Both tell of the record, and are given norms of 1 to 2; where the
    features are lost, the last layer gets next to no weight.
    """
    head = {layer.weight, layer.bias}
    sides = [[g for n, g in catch.gradient.items() if (n in head) == top] for top in (True, False)]
    top, below = (math.sqrt(sum(float(g.double().square().sum()) for g in s)) for s in sides)
    scale = (_MUTED if catch.lost else _BELOW) * top / below if below > 0 else 1.0
    weight, bias = layer.within(model)
    gradient = {n: g if n in head else g * scale for n, g in catch.gradient.items()}
    return layer.replaced(model, weight * scale, bias), gradient


def wide_open(model: nn.Module, layer: LastLayer, features: Tensor) -> nn.Module:
    """Return a copy in which every record of the class in question is caught, for sure.

    All other biases lie far above what the weights make of `features` `[n, width]`.
    """
    weight, bias = layer.within(model)
    scores = features.to(weight.dtype) @ weight.T
    biases = torch.full_like(bias, _BEYOND * float(scores.abs().max()) + _SILENT)
    biases[bait_class(model, layer)] = 0.0
    return layer.replaced(model, weight, biases)
