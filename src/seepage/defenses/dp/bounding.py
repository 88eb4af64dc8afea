"""What the defenses of whole updates share: refusing, clipping, adding noise."""

from __future__ import annotations

from math import isfinite, sqrt
from typing import TYPE_CHECKING

import torch

from ...core.errors import RefusedError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from ...core.views import Update


def require_protectable(update: Update, defense: str) -> None:
    """Raise `RefusedError` where a tensor is not of real floats or holds NaN or infinity."""
    for name, tensor in update.items():
        if not tensor.is_floating_point():
            raise RefusedError(
                f"{defense}: {name} is of type {tensor.dtype}, which it can't protect; "
                "keep it on the client or make it float"
            )
        if not bool(torch.isfinite(tensor).all()):
            raise RefusedError(
                f"{defense}: {name} holds NaN or infinity, so nothing is released; "
                "lower the learning rate or check the data"
            )


def clip(update: Update, max_norm: float) -> dict[str, Tensor]:
    """Return `update` scaled down to an L2 norm over all tensors of at most `max_norm`."""
    # Doubles, because the sum of squares of float32 overflows where the floats do not.
    norm = sqrt(sum(float(t.double().square().sum()) for t in update.values()))
    return scaled_down(update, norm, max_norm)


def scaled_down(update: Update, norm: float, max_norm: float) -> dict[str, Tensor]:
    """Return `update`, whose norm of any kind is `norm`, at `max_norm` or less.

    Raises `RefusedError` where the norm is not finite.
    """
    if not isfinite(norm):
        raise RefusedError("the norm of the update overflows, so nothing is released")
    if norm <= max_norm:
        return dict(update)
    # Rounding may lengthen a coordinate by half an epsilon of its type, and the norm is itself
    # a rounded sum of doubles: clip that much shorter.
    slack = max(1e-12, *(torch.finfo(t.dtype).eps for t in update.values()))
    scale = max_norm / norm * (1 - slack)
    return {name: tensor * scale for name, tensor in update.items()}


def add_gaussian(update: Update, std: float, rng: torch.Generator) -> dict[str, Tensor]:
    """Return `update` with independent N(0, std^2) noise on every coordinate."""
    return {name: tensor + std * gaussian_like(tensor, rng) for name, tensor in update.items()}


def gaussian_like(tensor: Tensor, rng: torch.Generator) -> Tensor:
    """Return standard normal noise of the shape, type and device of `tensor`."""
    noise = torch.randn(tensor.shape, generator=rng, device=rng.device, dtype=_drawn_as(tensor))
    return noise.to(device=tensor.device, dtype=tensor.dtype)


def require_number(name: str, value: float, *, positive: bool) -> None:
    """Raise `UsageError` where `value` is not finite, negative, or 0 where it may not be."""
    if not isfinite(value) or value < 0 or (positive and value == 0):
        least = "above 0" if positive else "of 0 or more"
        raise UsageError(f"{name} is {value}; use a finite number {least}")


def _drawn_as(tensor: Tensor) -> torch.dtype:
    return torch.float64 if tensor.dtype == torch.float64 else torch.float32
