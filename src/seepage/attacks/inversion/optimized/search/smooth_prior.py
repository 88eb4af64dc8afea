"""Total variation beside the logarithm of a distance: log D + tv TV(x).

With an error of unknown size in the gradient its likelihood is a power of the distance D.
So the prior counts as much at the end of a search as at the start (`inverting_gradients.py`).
The slope is given times D, which changes nothing for a search by signs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .total_variation import total_variation

if TYPE_CHECKING:
    from torch import Tensor

# What float32 leaves of a cosine distance at the batch itself.
_ROUNDING = 1e-7


@dataclass(frozen=True, slots=True)
class SmoothPrior:
    """The prior of images with weight `tv`; other inputs have none.

    Guesses are `[restarts, n, *shape]`, distances `[restarts]`; total variation is the mean
    over the n images and their channels.
    """

    tv: float

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor | float]:
        """Return tv TV of each guess, `[restarts]`, and its slope; zeros without a prior."""
        if x.ndim != 5 or not self.tv:
            return x.new_zeros(len(x)), 0.0
        values, slope = total_variation(x)
        weight = self.tv / x.shape[2]
        return weight * values.mean(1), slope.mul_(weight / x.shape[1])

    def slopes(self, x: Tensor, distances: Tensor, slopes: Tensor) -> tuple[Tensor, Tensor]:
        """Return the slope of D exp(tv TV), but for a factor above 0, and that of D, as given."""
        smoothing = self(x)[1]
        weight = distances.clamp_min(_ROUNDING).view(-1, *(1,) * (x.ndim - 1))
        return slopes + weight * smoothing, slopes

    def objectives(self, x: Tensor, distances: Tensor) -> Tensor:
        """Return D exp(tv TV) of each guess, `[restarts]`; 2 where D is no number."""
        return distances.nan_to_num(2.0).clamp_min(_ROUNDING) * self(x)[0].exp()
