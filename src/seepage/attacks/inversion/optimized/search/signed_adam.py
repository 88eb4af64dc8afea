"""Adam on the signs of slopes, with steps of the whole image's level and contrast.

A sign makes each value of the input step as far as any other, however steep the objective
is there (Geiping et al. 2020, arXiv 2003.14053, section 5). It drowns directions in which
no single value matters: normalization layers hardly see an image's brightness and contrast,
and nothing but the padding tells of them. So these take steps of their own, down the
distance alone: the prior would have no contrast at all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

_FIRST, _SECOND = 0.9, 0.999
_LAST = 0.01
# Of the step of a value: what levels move by, and the share by which contrast does.
_LEVEL, _CONTRAST = 0.3, 1.0


class _Moments:
    """Adam's running moments of signs (Kingma & Ba 2015)."""

    def __init__(self) -> None:
        self._first = self._second = None
        self._count = 0

    def __call__(self, slope: Tensor) -> Tensor:
        """Return the direction of the next step, about 1 in size."""
        sign = slope.sign()
        if self._first is None or self._second is None:
            self._first, self._second = torch.zeros_like(sign), torch.zeros_like(sign)
        self._count += 1
        self._first.mul_(_FIRST).add_(sign, alpha=1 - _FIRST)
        self._second.mul_(_SECOND).addcmul_(sign, sign, value=1 - _SECOND)
        scale = (self._second / (1 - _SECOND**self._count)).sqrt_().add_(1e-8)
        return (self._first / scale).div_(1 - _FIRST**self._count)


@dataclass(frozen=True, kw_only=True, slots=True)
class SignedAdam:
    """A search for the least of a distance and a prior over inputs `[..., *shape]`.

    Fields
    ------
    steps : iterations
    lr : first step size, in units of the input; falls to a hundredth along a half cosine
    value_range : what the inputs are kept in; None: anything
    """

    steps: int
    lr: float
    value_range: tuple[float, float] | None

    def __call__(
        self, slopes: Callable[[Tensor], tuple[Tensor, Tensor] | None], x: Tensor
    ) -> Tensor:
        """Return where inputs get to from `x`, which is left as it is.

        `slopes` gives those of the objective and of the distance alone, or None to stop.
        Inputs `[restarts, n, c, h, w]` are images.
        """
        images = x.ndim == 5
        low, high = self.value_range or (0.0, 1.0)
        values, levels, contrasts = _Moments(), _Moments(), _Moments()
        for step in range(self.steps):
            found = slopes(x)
            if found is None:
                break
            length = self._length(step)
            moved = x.add(values(found[0]), alpha=-length)
            if images:
                centered = x - x.mean((-2, -1), keepdim=True)
                level = levels(found[1].sum((-2, -1), keepdim=True))
                contrast = contrasts((found[1] * centered).sum((-3, -2, -1), keepdim=True))
                moved.sub_(level, alpha=_LEVEL * length)
                share = _CONTRAST * length / (high - low)
                moved.addcmul_(centered, contrast, value=-share)
            x = moved if self.value_range is None else moved.clamp_(low, high)
        return x

    def _length(self, step: int) -> float:
        done = step / self.steps
        return self.lr * (_LAST + (1 - _LAST) * (1 + math.cos(math.pi * done)) / 2)
