"""Clipping to an L1 norm, and Laplace noise: density exp(-|x| / b) / 2b on each coordinate."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

import torch

from ...core.errors import RefusedError

if TYPE_CHECKING:
    from torch import Tensor

    from ...core.views import Update


def clip_l1(update: Update, max_norm: float) -> dict[str, Tensor]:
    """Return `update` scaled down to an L1 norm over all tensors of at most `max_norm`."""
    norm = sum(float(t.double().abs().sum()) for t in update.values())
    if not isfinite(norm):
        raise RefusedError("the norm of the update overflows, so nothing is released")
    if norm <= max_norm:
        return dict(update)
    # Rounding may lengthen a coordinate by half an epsilon of its type, and the norm is itself
    # a rounded sum of doubles: clip that much shorter.
    slack = max(1e-12, *(torch.finfo(t.dtype).eps for t in update.values()))
    scale = max_norm / norm * (1 - slack)
    return {name: tensor * scale for name, tensor in update.items()}


def add_laplace(update: Update, scale: float, rng: torch.Generator) -> dict[str, Tensor]:
    """Return `update` with independent Laplace noise of this scale b on every coordinate.

    Its standard deviation is b sqrt(2). Drawn in double precision, then rounded to each type.
    """
    return {name: tensor + _laplace_like(tensor, scale, rng) for name, tensor in update.items()}


def _laplace_like(tensor: Tensor, scale: float, rng: torch.Generator) -> Tensor:
    """Return the difference of two exponentials, which is Laplace."""
    one, other = (
        torch.empty(tensor.shape, dtype=torch.float64, device=rng.device).exponential_(
            generator=rng
        )
        for _ in range(2)
    )
    return (scale * (one - other)).to(device=tensor.device, dtype=tensor.dtype)
