"""The clipping norm that follows a quantile of gradient norms, at a cost that is accounted.

Beside the sum, a step releases how many gradients were not clipped: the sum of b_i - 1/2 over
the batch, of sensitivity 1/2, plus N(0, sigma_b^2). With b~ its share of the batch the norm
moves on by C <- C exp(-eta (b~ - gamma)). Sum and count are one Gaussian release of noise
multiplier z if the sum's is z_delta = (z^-2 - (2 sigma_b)^-2)^(-1/2) > z (Andrew et al. 2021,
arXiv 1905.03871, algorithm 1 and theorem 1).
"""

from __future__ import annotations

from math import exp, inf
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

# What noise could drive the norm to, in norms of the start.
_FARTHEST = 1e6


def sum_multiplier(noise_multiplier: float, count_noise: float) -> float:
    """Return z_delta, the noise multiplier of the sum; `inf` where the count takes all.

    >>> round(sum_multiplier(1.0, 2.0), 4)
    1.0328
    """
    if noise_multiplier == 0:
        return 0.0
    left = noise_multiplier**-2 - (2 * count_noise) ** -2
    return left**-0.5 if left > 0 else inf


def unclipped_share(
    lengths: Tensor | None,
    norm: float,
    *,
    expected: int,
    count_noise: float,
    rng: torch.Generator,
) -> float:
    """Return the noisy share of gradients no longer than `norm`, cut to [0, 1].

    `lengths` `[batch]` is None for an empty batch, and `expected` its public expected size.
    """
    counted = 0.0 if lengths is None else float((lengths <= norm).double().sub(0.5).sum())
    noise = float(torch.randn((), generator=rng, device=rng.device, dtype=torch.float64))
    return min(1.0, max(0.0, (counted + count_noise * noise) / expected + 0.5))


def moved_on(norm: float, share: float, *, quantile: float, rate: float, start: float) -> float:
    """Return the next norm: smaller where more than `quantile` of the gradients were within it."""
    moved = norm * exp(-rate * (share - quantile))
    return min(max(moved, start / _FARTHEST), start * _FARTHEST)
