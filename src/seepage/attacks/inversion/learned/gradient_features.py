"""Coordinates of updates that set the simulated ones apart, noise weighed down.

Principal components of the simulated updates before noise, each scaled by Wiener's gain
s / (s + noise^2) with s its mean square, and the whole by its length: what clipping, the
learning rate and the confidence of the model do to the length of an update then matters
no more. Noise falls from all coordinates of an update onto a few hundred.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

# Components with less than this share of the largest one's variance are rounding.
_LEAST = 1e-7


@dataclass(frozen=True, slots=True, eq=False)
class GradientFeatures:
    """A linear map of (hashed) updates to features of length 1.

    Fields
    ------
    basis : principal components, `[m, r]`, orthonormal
    gain : Wiener's gain of each, `[r]`
    noise : standard deviation of the noise on each value of a (hashed) update
    """

    basis: Tensor
    gain: Tensor
    noise: float

    @classmethod
    def of(cls, updates: Tensor, noise: float, components: int) -> GradientFeatures:
        """Fit the map to simulated updates `[n, m]` before noise."""
        if not noise:
            updates = unit(updates)
        gram = (updates @ updates.T).double()
        squares, vectors = torch.linalg.eigh(gram)
        keep = squares > _LEAST * squares[-1].clamp_min(torch.finfo(torch.float64).tiny)
        squares, vectors = squares[keep][-components:], vectors[:, keep][:, -components:]
        # In half precision, because an attack may have to remember many of them.
        basis = (updates.T @ (vectors / squares.sqrt()).to(updates.dtype)).half()
        power = squares / len(updates)
        return cls(basis, (power / (power + noise**2)).to(updates.dtype), noise)

    def __call__(self, updates: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """Return features `[n, r]` of updates `[n, m]`, with noise drawn where they have none."""
        coordinates = updates @ self.basis.to(updates.dtype)
        if noise is not None and self.noise:
            # Orthonormal components of independent noise are independent noise.
            coordinates = coordinates + self.noise * torch.randn(
                coordinates.shape, generator=noise, dtype=coordinates.dtype
            )
        return unit(coordinates * self.gain)


def unit(rows: Tensor) -> Tensor:
    """Return rows `[n, m]` scaled to length 1; rows of zeros stay."""
    return rows / rows.norm(dim=1, keepdim=True).clamp_min(torch.finfo(rows.dtype).tiny)
