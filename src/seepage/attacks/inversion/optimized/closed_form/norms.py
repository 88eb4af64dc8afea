"""Batch and group normalization: y = gamma x' + beta, x' = (x - mean) / sd.

Moving x by u moves x' by P u = (u - mean(u) - x' mean(x' u)) / sd, and P is its own
transpose: the slope d at x' becomes P d at x. As x moves by u and d by d', P d moves by
P d' - (mean(x' u) P d + mean(x' d) P u + mean(d P u) x') / sd. One kernel of torch gives
P u and mean(x' u) at once; group normalization is that of a channel for each group.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from .layer import Parametric, spread, total

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


class Normalization(Parametric):
    """Batch statistics of each restart's own batch, group statistics, or fixed ones."""

    def __init__(self, name: str, module: nn.Module, observed: set[str]) -> None:
        prefix = f"{name}." if name else ""
        self._scale_name, self._shift_name = f"{prefix}weight", f"{prefix}bias"
        scale, shift = getattr(module, "weight", None), getattr(module, "bias", None)
        held = {self._scale_name: scale, self._shift_name: shift}
        self.names = tuple(n for n, p in held.items() if p is not None and n in observed)
        self._scale = None if scale is None else scale.detach()
        self._shift = None if shift is None else shift.detach()
        self._eps: float = module.eps  # pyright: ignore[reportAttributeAccessIssue, reportAssignmentType]
        self._groups = module.num_groups if isinstance(module, nn.GroupNorm) else 0
        mean, var = getattr(module, "running_mean", None), getattr(module, "running_var", None)
        self._fixed: tuple[Tensor, Tensor] | None = None
        if mean is not None and var is not None and not module.training:
            self._fixed = mean.detach(), (var.detach() + self._eps).rsqrt()

    def observe(self, observed: dict[str, Tensor], weights: dict[str, float]) -> None:
        """Keep the observed gradients of scale and shift, and their weights."""
        self._observed = {n: observed[n] for n in self.names}
        self._weights = {n: weights.get(n, 1.0) for n in self.names}

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Return gamma x' + beta, and keep x' and its statistics."""
        (x,) = inputs
        self._shape = x.shape
        self._moved: Tensor | None = None
        if self._fixed is not None:
            mean, inverse = (self._by_channel(v) for v in self._fixed)
            self._unit = (x - mean) * inverse
        else:
            self._rows = self._to_rows(x)
            unit, self._mean, self._inverse = torch.native_batch_norm(
                self._rows, None, None, None, None, True, 0.0, self._eps
            )
            self._unit = self._from_rows(unit)
        return self._scaled(self._unit, self._shift)

    def backward(self, slope: Tensor, *, needed: bool) -> Sequence[Tensor | None]:
        """Return P gamma slope: what reaches x through x' and the statistics."""
        self._slope = slope
        if not needed:
            return (None,)
        self._unit_slope = self._scaled(slope)
        self._back, self._back_along = self._project(self._unit_slope)
        return (self._back,)

    def gradients(self) -> dict[str, Tensor]:
        """Sum over the batch and all positions, `[restarts, channels]` each."""
        held = {self._scale_name: self._slope * self._unit, self._shift_name: self._slope}
        channels = self._shape[1]
        return {
            n: held[n].flatten(2).sum(2).view(self.restarts, -1, channels).sum(1)
            if len(self._shape) > 2
            else held[n].view(self.restarts, -1, channels).sum(1)
            for n in self.names
        }

    def sums(self) -> tuple[Tensor, Tensor]:
        """Return the inner products, by way of the gradients themselves: they are short."""
        self._gradients = self.gradients()
        inner = square = torch.zeros(self.restarts, dtype=self._slope.dtype)
        for n, g in self._gradients.items():
            inner = inner + self._weights[n] * (g @ self._observed[n])
            square = square + self._weights[n] * g.square().sum(1)
        return inner, square

    def combine(self, along: Tensor, own: Tensor) -> None:
        """Combine the directions by value, and pull by them."""
        self.pull(
            {
                n: self._weights[n] * (spread(along, 2) * self._observed[n] + spread(own, 2) * g)
                for n, g in self._gradients.items()
            }
        )

    def pull(self, directions: dict[str, Tensor]) -> None:
        """Keep the directions of each record's restart, shaped for its channels."""
        batch = self._shape[0] // self.restarts
        self._directions = {
            n: d.repeat_interleave(batch, 0).view(*self._shape[:2], *[1] * (len(self._shape) - 2))
            for n, d in directions.items()
        }

    def tangent(self, tangents: Sequence[Tensor | None]) -> Tensor | None:
        """Return gamma P u, plus what scale and shift add as they move."""
        (self._moved,) = tangents
        out: Tensor | None = None
        if self._moved is not None:
            self._unit_moved, self._moved_along = self._project(self._moved)
            out = self._scaled(self._unit_moved)
        if self._scale_name in self._directions:
            out = total(out, self._directions[self._scale_name] * self._unit)
        if self._shift_name in self._directions:
            shift = self._directions[self._shift_name]
            out = shift.expand(self._shape) if out is None else out + shift
        return out

    def backward_tangent(self, slope: Tensor | None) -> Sequence[Tensor | None]:
        """Return P times how gamma slope moves, plus how P bends as x moves."""
        out = None if slope is None else self._scaled(slope)
        if self._scale_name in self._directions:
            out = total(out, self._directions[self._scale_name] * self._slope)
        out = None if out is None else self._project(out)[0]
        if self._moved is not None and self._fixed is None:
            out = total(out, self._bent())
        return (out,)

    def _bent(self) -> Tensor:
        """Return how far the projection of the slope bends as the input moves."""
        moved, slope, back = map(self._to_rows, (self._unit_moved, self._unit_slope, self._back))
        unit = self._to_rows(self._unit)
        across = (slope * moved).mean((0, 2), keepdim=True)
        out = self._moved_along * back
        out.addcmul_(self._back_along, moved).addcmul_(across, unit)
        return self._from_rows(out.mul_(-self._inverse[:, None]))

    def _project(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Return P u, and mean(x' u) `[rows, 1]` where the statistics are the batch's."""
        if self._fixed is not None:
            inverse = self._by_channel(self._fixed[1])
            return u * inverse, inverse
        rows = self._to_rows(u)
        projected, along, _ = torch.ops.aten.native_batch_norm_backward(
            rows, self._rows, None, None, None, self._mean, self._inverse,
            True, self._eps, [True, True, False],
        )  # fmt: skip
        return self._from_rows(projected), along[:, None] / (rows.shape[0] * rows.shape[2])

    def _to_rows(self, x: Tensor) -> Tensor:
        """Return `[records, rows, values]`, each row of which has one mean."""
        n, channels = self._shape[:2]
        if self._groups:
            return x.reshape(1, n * self._groups, -1)
        if self.restarts == 1:
            return x.reshape(n, channels, -1)
        apart = x.reshape(self.restarts, n // self.restarts, channels, -1)
        return apart.transpose(0, 1).reshape(n // self.restarts, self.restarts * channels, -1)

    def _from_rows(self, rows: Tensor) -> Tensor:
        if self._groups or self.restarts == 1:
            return rows.reshape(self._shape)
        apart = rows.view(len(rows), self.restarts, self._shape[1], -1)
        return apart.transpose(0, 1).reshape(self._shape)

    def _by_channel(self, values: Tensor) -> Tensor:
        return values.view(-1, *[1] * (len(self._shape) - 2))

    def _scaled(self, values: Tensor, shift: Tensor | None = None) -> Tensor:
        if self._scale is None:
            return values if shift is None else values + self._by_channel(shift)
        scale = self._by_channel(self._scale)
        if shift is None:
            return values * scale
        return torch.addcmul(self._by_channel(shift), values, scale)
