"""Clipping to an L1 norm, and Laplace noise: density exp(-|x| / b) / 2b on each coordinate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from .bounding import scaled_down

if TYPE_CHECKING:
    from torch import Tensor

    from ...core.views import Update


def clip_l1(update: Update, max_norm: float) -> dict[str, Tensor]:
    """Return `update` scaled down to an L1 norm over all tensors of at most `max_norm`."""
    norm = sum(float(t.double().abs().sum()) for t in update.values())
    return scaled_down(update, norm, max_norm)


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
