"""Convolutions: small ones as matrix products with columns, others by fused kernels.

The columns of an image are its patches (Chellapilla, Puri & Simard 2006). As a matrix
product all restarts share one call, which pays while calls cost more than arithmetic. Above
that, two products that are added are one convolution of twice the channels:
V a + W a' = [V W] [a; a'].
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from .affine import Affine
from .layer import total

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

MOST_WORK = 500_000
"""Products a restart up to which columns are as fast as kernels (one CPU core)."""


class Convolution(Affine):
    """nn.Conv2d on `[restarts * batch, channels, height, width]`, padded with zeros.

    Only as columns can it work on several restarts at once.
    """

    def __init__(self, name: str, module: nn.Conv2d, observed: set[str]) -> None:
        super().__init__(name, module, observed)
        self._filters = module.weight.detach()
        self._geometry: dict[str, Any] = {
            "padding": module.padding,
            "stride": module.stride,
            "dilation": module.dilation,
        }
        self._kernel = tuple(module.kernel_size)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Return the convolution: as a product of columns where it is small."""
        (self._image,) = inputs
        self._map = [self._positions(axis) for axis in (0, 1)]
        batch = len(self._image) // self.restarts
        self.small = batch * self._filters.numel() * self._map[0] * self._map[1] <= MOST_WORK
        if not self.small:
            return F.conv2d(self._image, self._filters, self._bias, **self._geometry)
        self._columns = self._unfolded(self._image)
        out = self._times(self._weight, self._columns)
        if self._bias is not None:
            out = out.add_(self._bias[:, None])
        return out.view(len(out), -1, *self._map)

    def backward(self, slope: Tensor, *, needed: bool) -> Sequence[Tensor | None]:
        """Return the transposed convolution, and keep the gradient of the filters."""
        self._slope = slope
        channels = slope.shape[1]
        if not self.small:
            back, gradient, bias = self._kernels(slope, self._filters, (needed, True, True))
            self._gradient = gradient.view(1, channels, -1)
            self._bias_gradient = bias[None]
            return (back if needed else None,)
        flat = slope.flatten(2)
        each = torch.bmm(flat, self._columns.mT)
        self._gradient = each.view(self.restarts, -1, *each.shape[1:]).sum(1)
        self._bias_gradient = flat.sum(2).view(self.restarts, -1, channels).sum(1)
        return (self._folded(self._times(self._weight.t(), flat)) if needed else None,)

    def gradients(self) -> dict[str, Tensor]:
        """Return what `backward` kept, in the shapes of the parameters."""
        weight = self._gradient.view(self.restarts, *self._filters.shape)
        found = {self._weight_name: weight, self._bias_name: self._bias_gradient}
        return {n: g for n, g in found.items() if n in self.names}

    def sums(self) -> tuple[Tensor, Tensor]:
        """Return the inner products with the gradient that `backward` kept."""
        inner, square = self._bias_sums()
        name = self._weight_name
        if name in self.names:
            flat, weight = self._gradient.flatten(1), self._weights[name]
            inner = inner + weight * (flat @ self._observed[name].flatten())
            square = square + weight * flat.square().sum(1)
        return torch.as_tensor(inner), torch.as_tensor(square)

    def combine(self, along: Tensor, own: Tensor) -> None:
        """Write out the direction of the filters: they are few."""
        self._combine_bias(along, own)
        name = self._weight_name
        self._direction = (
            self._combined(name, self._gradient, along, own) if name in self.names else None
        )

    def _move_weight(self, direction: Tensor | None) -> None:
        self._direction = direction

    def tangent(self, tangents: Sequence[Tensor | None]) -> Tensor | None:
        """Return W * u + V * x + c, in one convolution where they are not small."""
        (moved,) = tangents
        bias = self._bias_direction
        if not self.small:
            found = self._fused(self._image, moved, 1)
            if found is not None:
                return F.conv2d(*found, None if bias is None else bias[0], **self._geometry)
            out = None
        else:
            out = None if self._direction is None else self._times(self._direction, self._columns)
            if moved is not None:
                out = total(out, self._times(self._weight, self._unfolded(moved)))
        if bias is not None:
            batch = len(self._image) // self.restarts
            bias = bias.repeat_interleave(batch, 0)[..., None]
            out = bias.expand(self._slope.flatten(2).shape) if out is None else out.add_(bias)
        return None if out is None else out.reshape(self._slope.shape)

    def backward_tangent(self, slope: Tensor | None) -> Sequence[Tensor | None]:
        """Return the transposed convolutions of both motions, fused as well."""
        if not self.small:
            found = self._fused(self._slope, slope, 0)
            return (None if found is None else self._kernels(*found, (True, False, False))[0],)
        out = None
        if self._direction is not None:
            out = self._times(self._direction.mT, self._slope.flatten(2))
        if slope is not None:
            out = total(out, self._times(self._weight.t(), slope.flatten(2)))
        return (None if out is None else self._folded(out),)

    def _fused(
        self, still: Tensor, moved: Tensor | None, axis: int
    ) -> tuple[Tensor, Tensor] | None:
        """Return channels and filters whose product is that of V with one, W with the other."""
        if self._direction is None:
            return None if moved is None else (moved, self._filters)
        direction = self._direction.view(self._filters.shape)
        if moved is None:
            return still, direction
        return torch.cat([still, moved], 1), torch.cat([direction, self._filters], axis)

    def _kernels(
        self, slope: Tensor, filters: Tensor, wanted: tuple[bool, bool, bool]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the slopes at the image, the filters and the bias, those that are wanted."""
        geometry = self._geometry
        return torch.ops.aten.convolution_backward(
            slope, self._image, filters, [len(filters)], geometry["stride"],
            geometry["padding"], geometry["dilation"], False, [0, 0], 1, wanted,
        )  # fmt: skip

    def _times(self, matrix: Tensor, columns: Tensor) -> Tensor:
        """Return the product of a matrix, or of one a restart, with all columns."""
        many = len(columns)
        if matrix.ndim == 2:
            return torch.bmm(matrix.expand(many, -1, -1), columns)
        return torch.bmm(matrix.repeat_interleave(many // self.restarts, 0), columns)

    def _unfolded(self, image: Tensor) -> Tensor:
        return F.unfold(image, self._kernel, **self._geometry)

    def _folded(self, columns: Tensor) -> Tensor:
        return F.fold(columns, self._image.shape[2:], self._kernel, **self._geometry)

    def _positions(self, axis: int) -> int:
        reach = self._geometry["dilation"][axis] * (self._kernel[axis] - 1) + 1
        room = self._image.shape[2 + axis] + 2 * self._geometry["padding"][axis] - reach
        return room // self._geometry["stride"][axis] + 1
