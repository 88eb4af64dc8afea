"""Layers without parameters: activations, sums, pooling and whatever else is linear."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from .layer import Layer, total

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor


class Rectifier(Layer):
    """ReLU, whose slope is 0 or 1."""

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Return the values above 0, and 0 for the rest."""
        self._output = inputs[0].relu()
        return self._output

    def backward(self, slope: Tensor, *, needed: bool) -> Sequence[Tensor | None]:
        """Pass the slope where the output is above 0."""
        return (self._gated(slope) if needed else None,)

    def tangent(self, tangents: Sequence[Tensor | None]) -> Tensor | None:
        """Pass the motion where the output is above 0."""
        return self._gated(tangents[0])

    def backward_tangent(self, slope: Tensor | None) -> Sequence[Tensor | None]:
        """Pass the motion of the slope where the output is above 0."""
        return (self._gated(slope),)

    def _gated(self, values: Tensor | None) -> Tensor | None:
        if values is None:
            return None
        return torch.ops.aten.threshold_backward(values, self._output, 0)


class Activation(Layer):
    """A smooth function of each value, with its first two derivatives."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self._function = function

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Return f(x), and keep its first two derivatives."""
        self._back = self._moved = None
        output, self._first, self._second = _derivatives(self._function, inputs[0])
        return output

    def backward(self, slope: Tensor, *, needed: bool) -> Sequence[Tensor | None]:
        """Return slope * f'(x)."""
        self._back = slope
        return (slope * self._first if needed else None,)

    def tangent(self, tangents: Sequence[Tensor | None]) -> Tensor | None:
        """Return f'(x) * the motion of x."""
        (self._moved,) = tangents
        return None if self._moved is None else self._moved * self._first

    def backward_tangent(self, slope: Tensor | None) -> Sequence[Tensor | None]:
        """Return f'(x) * the motion of the slope, plus f"(x) * slope * motion."""
        out = None if slope is None else slope * self._first
        if self._moved is not None and self._back is not None:
            out = total(out, self._back * self._second * self._moved)
        return (out,)


def _derivatives(function: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the values of a function of each value, and its first and second derivatives."""
    if function in (torch.sigmoid, F.sigmoid):
        y = x.sigmoid()
        first = y * (1 - y)
        return y, first, first * (1 - 2 * y)
    if function in (torch.tanh, F.tanh):
        y = x.tanh()
        first = 1 - y * y
        return y, first, -2 * y * first
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        y = function(x)
        (first,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        second = (
            torch.autograd.grad(first.sum(), x)[0] if first.requires_grad else torch.zeros_like(x)
        )
    return y.detach(), first.detach(), second.detach()


class Sum(Layer):
    """The sum of two branches, as in a residual block."""

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Return the sum of both branches."""
        return inputs[0] + inputs[1]

    def backward(self, slope: Tensor, *, needed: bool) -> Sequence[Tensor | None]:
        """Return the slope for either branch."""
        return (slope, slope) if needed else (None, None)

    def tangent(self, tangents: Sequence[Tensor | None]) -> Tensor | None:
        """Return the sum of both motions."""
        return total(*tangents)

    def backward_tangent(self, slope: Tensor | None) -> Sequence[Tensor | None]:
        """Return the motion of the slope for either branch."""
        return slope, slope


class LinearMap(Layer):
    """A linear function of one tensor: its transpose is what autograd makes of it, once."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self._function = function
        self._shape: torch.Size | None = None

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Return the image of the input; the first of its shape makes the transpose."""
        (x,) = inputs
        if x.shape != self._shape:
            self._shape = x.shape
            with torch.enable_grad():
                self._zero = torch.zeros_like(x).requires_grad_()
                self._graph = self._function(self._zero)
        return self._function(x)

    def backward(self, slope: Tensor, *, needed: bool) -> Sequence[Tensor | None]:
        """Return the slope through the transpose."""
        return (self._transposed(slope) if needed else None,)

    def tangent(self, tangents: Sequence[Tensor | None]) -> Tensor | None:
        """Return the image of the motion."""
        return None if tangents[0] is None else self._function(tangents[0])

    def backward_tangent(self, slope: Tensor | None) -> Sequence[Tensor | None]:
        """Return the motion of the slope through the transpose."""
        return (None if slope is None else self._transposed(slope),)

    def _transposed(self, slope: Tensor) -> Tensor:
        return torch.autograd.grad(self._graph, self._zero, slope, retain_graph=True)[0]


class Reshape(Layer):
    """nn.Flatten and its like."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self._function = function

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Return the input in its new shape."""
        self._shape = inputs[0].shape
        return self._function(inputs[0])

    def backward(self, slope: Tensor, *, needed: bool) -> Sequence[Tensor | None]:
        """Return the slope in the shape of the input."""
        return (slope.reshape(self._shape) if needed else None,)

    def tangent(self, tangents: Sequence[Tensor | None]) -> Tensor | None:
        """Return the motion in the new shape."""
        return None if tangents[0] is None else self._function(tangents[0])

    def backward_tangent(self, slope: Tensor | None) -> Sequence[Tensor | None]:
        """Return the motion of the slope in the shape of the input."""
        return (None if slope is None else slope.reshape(self._shape),)


class MaxPool(Layer):
    """nn.MaxPool2d: each output is the input value that its window points at."""

    def __init__(self, pool: Callable[[Tensor], tuple[Tensor, Tensor]]) -> None:
        self._pool = pool

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Return the largest value of each window, and keep where it stood."""
        self._shape = inputs[0].shape
        out, index = self._pool(inputs[0])
        self._index = index.flatten(2)
        self._out = out.shape
        return out

    def backward(self, slope: Tensor, *, needed: bool) -> Sequence[Tensor | None]:
        """Put each slope back to where the largest value stood."""
        return (self._scattered(slope) if needed else None,)

    def tangent(self, tangents: Sequence[Tensor | None]) -> Tensor | None:
        """Return the motion of the largest values."""
        moved = tangents[0]
        return None if moved is None else moved.flatten(2).gather(2, self._index).view(self._out)

    def backward_tangent(self, slope: Tensor | None) -> Sequence[Tensor | None]:
        """Put the motion of each slope back to where the largest value stood."""
        return (None if slope is None else self._scattered(slope),)

    def _scattered(self, slope: Tensor) -> Tensor:
        flat = slope.new_zeros(*self._shape[:2], self._shape[2] * self._shape[3])
        return flat.scatter_add_(2, self._index, slope.flatten(2)).view(self._shape)
