"""Fully connected layers, and what convolutions share with them.

With z = W a + b the gradient is G = delta a^T. Moving W by V adds V a to the tangent of z,
and V^T delta to that of the slope at a. A fully connected layer need not even form G: with
V = s g + t G the Gram matrices of a and of delta do, as
<G, G> = sum_ij (delta_i . delta_j)(a_i . a_j) and G a_i = sum_j delta_j (a_j . a_i).
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

import torch

from .layer import Parametric, per_restart, spread, total

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn


class Affine(Parametric):
    """What both share: the bias, and directions that are given or combined."""

    _bias_gradient: Tensor

    def __init__(self, name: str, module: nn.Linear | nn.Conv2d, observed: set[str]) -> None:
        prefix = f"{name}." if name else ""
        self._weight_name, self._bias_name = f"{prefix}weight", f"{prefix}bias"
        named = [self._weight_name] + ([self._bias_name] if module.bias is not None else [])
        self.names = tuple(n for n in named if n in observed)
        self._weight = module.weight.detach().flatten(1)
        self._bias = None if module.bias is None else module.bias.detach()
        self._shape = module.weight.shape

    def observe(self, observed: dict[str, Tensor], weights: dict[str, float]) -> None:
        """Keep the observed gradients of weight and bias, and their weights."""
        self._observed = {n: observed[n].flatten(1) if observed[n].ndim > 1 else observed[n]
                          for n in self.names}  # fmt: skip
        self._weights = {n: weights.get(n, 1.0) for n in self.names}

    def pull(self, directions: dict[str, Tensor]) -> None:
        """Keep the directions of weight and bias."""
        weight = directions.get(self._weight_name)
        self._move_weight(None if weight is None else weight.flatten(2))
        self._bias_direction = directions.get(self._bias_name)

    @abstractmethod
    def _move_weight(self, direction: Tensor | None) -> None:
        """Take the direction in which the weight moves, `[restarts, *shape]`; None: not at all."""

    def _bias_sums(self) -> tuple[Tensor | float, Tensor | float]:
        name = self._bias_name
        if name not in self.names:
            return 0.0, 0.0
        slope, weight = self._bias_gradient, self._weights[name]
        return weight * (slope @ self._observed[name]), weight * slope.square().sum(1)

    def _combined(self, name: str, gradient: Tensor, along: Tensor, own: Tensor) -> Tensor:
        """Return weight * (along * observed + own * gradient), `[restarts, ...]`."""
        weight, dims = self._weights[name], gradient.ndim
        moved = spread(own * weight, dims) * gradient
        return moved + spread(along * weight, dims) * self._observed[name]

    def _combine_bias(self, along: Tensor, own: Tensor) -> None:
        name = self._bias_name
        self._bias_direction = (
            self._combined(name, self._bias_gradient, along, own) if name in self.names else None
        )


class FullyConnected(Affine):
    """nn.Linear on `[restarts * batch, features]`."""

    def __init__(self, name: str, module: nn.Linear, observed: set[str]) -> None:
        super().__init__(name, module, observed)
        self._transposed = self._weight.t()

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Return W x + b."""
        (self._input,) = inputs
        if self._bias is None:
            return self._input @ self._transposed
        return torch.addmm(self._bias, self._input, self._transposed)

    def backward(self, slope: Tensor, *, needed: bool) -> Sequence[Tensor | None]:
        """Return the slope times W; the gradient of W is left as a product."""
        self._slope = slope
        self._bias_gradient = slope.view(self.restarts, -1, slope.shape[1]).sum(1)
        return (slope @ self._weight if needed else None,)

    def gradients(self) -> dict[str, Tensor]:
        """Multiply slopes with inputs, restart by restart."""
        inputs, slopes = self._by_restart()
        found = {self._weight_name: slopes.mT @ inputs, self._bias_name: self._bias_gradient}
        return {n: g for n, g in found.items() if n in self.names}

    def sums(self) -> tuple[Tensor, Tensor]:
        """Return the inner products from Gram matrices, without the gradient of W."""
        inner, square = self._bias_sums()
        name = self._weight_name
        if name in self.names:
            inputs, slopes = self._by_restart()
            self._input_gram, self._slope_gram = inputs @ inputs.mT, slopes @ slopes.mT
            self._pulled = self._input @ self._observed[name].t()
            weight = self._weights[name]
            inner = inner + weight * per_restart(self._pulled * self._slope, self.restarts)
            both = per_restart(self._input_gram * self._slope_gram, self.restarts)
            square = square + weight * both
        return torch.as_tensor(inner), torch.as_tensor(square)

    def combine(self, along: Tensor, own: Tensor) -> None:
        """Move W along a sum of outer products, never written out."""
        self._combine_bias(along, own)
        self._input_move = self._slope_move = None
        name = self._weight_name
        if name not in self.names:
            return
        inputs, slopes = self._by_restart()
        weight = self._weights[name]
        s, t = spread(along * weight, 3), spread(own * weight, 3)
        pulled = self._pulled.view(slopes.shape)
        back = (self._slope @ self._observed[name]).view(inputs.shape)
        self._input_move = (s * pulled + t * (self._input_gram @ slopes)).flatten(0, 1)
        self._slope_move = (s * back + t * (self._slope_gram @ inputs)).flatten(0, 1)

    def _move_weight(self, direction: Tensor | None) -> None:
        self._input_move = self._slope_move = None
        if direction is not None:
            inputs, slopes = self._by_restart()
            self._input_move = (inputs @ direction.mT).flatten(0, 1)
            self._slope_move = (slopes @ direction).flatten(0, 1)

    def tangent(self, tangents: Sequence[Tensor | None]) -> Tensor | None:
        """Return W u, plus what W and b add as they move."""
        (moved,) = tangents
        out = self._input_move
        if moved is not None:
            out = moved @ self._transposed if out is None else out.addmm_(moved, self._transposed)
        if self._bias_direction is None:
            return out
        batch = len(self._input) // self.restarts
        return total(out, self._bias_direction.repeat_interleave(batch, 0))

    def backward_tangent(self, slope: Tensor | None) -> Sequence[Tensor | None]:
        """Return the motion of the slope times W, plus the slope times that of W."""
        out = self._slope_move
        if slope is not None:
            out = slope @ self._weight if out is None else out.addmm_(slope, self._weight)
        return (out,)

    def _by_restart(self) -> tuple[Tensor, Tensor]:
        """Return inputs `[restarts, batch, in]` and slopes `[restarts, batch, out]`."""
        return (
            self._input.view(self.restarts, -1, self._input.shape[1]),
            self._slope.view(self.restarts, -1, self._slope.shape[1]),
        )
