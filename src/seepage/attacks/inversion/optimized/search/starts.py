"""Where searches for images start: at gray, not at noise that would have to be unlearned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

_FAINT = 0.01
_STRONG = 0.15
_PATCHES = 5


def starts(
    restarts: int,
    shape: tuple[int, ...],
    value_range: tuple[float, float] | None,
    rng: torch.Generator,
) -> Tensor:
    """Return starts `[restarts, *shape]` for a batch of shape `[n, *input_shape]`.

    With a range of values the first is its middle with faint noise, which no search has to
    remove again where the gradient says nothing; the others are images with clouds of a few
    pixels' size, so that they differ. Without a range all are standard normal.
    """
    noise = torch.randn((restarts, *shape), generator=rng)
    if value_range is None:
        return noise
    low, high = value_range
    unit = 0.5 + _FAINT * noise
    if len(shape) == 4 and restarts > 1:
        n, channels, height, width = shape
        clouds = torch.randn(
            ((restarts - 1) * n, channels, min(_PATCHES, height), min(_PATCHES, width)),
            generator=rng,
        )
        smooth = functional.interpolate(clouds, (height, width), mode="bilinear")
        unit[1:] += _STRONG * smooth.view(restarts - 1, *shape)
    elif restarts > 1:
        unit[1:] = 0.5 + _STRONG * noise[1:]
    return low + (high - low) * unit.clamp_(0, 1)
