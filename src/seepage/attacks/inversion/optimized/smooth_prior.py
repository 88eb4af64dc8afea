"""Total variation beside the logarithm of a distance: log D + tv TV(x).

With an error of unknown size in the gradient its likelihood is a power of the distance D.
So the prior counts as much at the end of a search as at the start (`inverting_gradients.py`).
The slope is given times D, which changes nothing for a search by signs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .total_variation import total_variation_slope

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

    def slopes(self, x: Tensor, distances: Tensor, slopes: Tensor) -> tuple[Tensor, Tensor]:
        """Return the slope of D exp(tv TV), but for a factor above 0, and that of D, as given."""
        if x.ndim != 5 or not self.tv:
            return slopes, slopes
        weight = self.tv / (x.shape[1] * x.shape[2]) * distances.clamp_min(_ROUNDING)
        return slopes + weight.view(-1, 1, 1, 1, 1) * total_variation_slope(x)[1], slopes

    def objectives(self, x: Tensor, distances: Tensor) -> Tensor:
        """Return D exp(tv TV) of each guess, `[restarts]`; 2 where D is no number."""
        distances = distances.nan_to_num(2.0)
        if x.ndim != 5 or not self.tv:
            return distances
        prior = self.tv / x.shape[2] * total_variation_slope(x)[0].mean(1)
        return distances.clamp_min(_ROUNDING) * prior.exp()
