"""Whether one record is in a noisy sum, allowing for the others that may be in it too.

A release whose mean is taken off is x = sum_j (k_j - e) d_j + N(0, s^2 I): record j of n adds
its contribution d_j as often as it was drawn, k_j times, of mean e and variance v. What the
others do to x is no even noise: it lies where their contributions do. So the likelihood of one
record's part is taken under the covariance of noise and all others,

    S_i = s^2 I + v sum_{j != i} d_j d_j',

of which the Gram matrix G = D D' and the products D x are enough (Woodbury): with
a = (s^2 I + v G)^-1 D x and q the diagonal of (s^2 I + v G)^-1 G,

    <d_i, x> under S_i = a_i / (1 - v q_i),    <d_i, d_i> under S_i = q_i / (1 - v q_i).

Without noise this reads off who is in the sum, as far as contributions are independent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

# Of the largest eigenvalue: below it a direction is the rounding of single precision.
_ROUNDING = 1e-7
# Of a record's own power: noise that rounding alone makes.
_QUIET = 1e-8
# Standard errors by which the power off all records must differ from the noise's to be another.
_BEYOND_CHANCE = 3.0


@dataclass(frozen=True, slots=True, eq=False)
class Spectrum:
    """The eigenvectors `[n, n]` and eigenvalues `[n]` of a Gram matrix of contributions."""

    vectors: Tensor
    values: Tensor

    @classmethod
    def of(cls, gram: Tensor) -> Spectrum:
        """Decompose `gram` `[n, n]`, in double precision."""
        values, vectors = torch.linalg.eigh(gram.double())
        return cls(vectors, values.clamp_min(0))

    def tensors(self) -> tuple[Tensor, Tensor]:
        """Return all that is held."""
        return self.vectors, self.values

    @property
    def rank(self) -> int:
        """Return how many directions the contributions span."""
        return int(self._seen.sum())

    @property
    def _seen(self) -> Tensor:
        return self.values > _ROUNDING * self.values[-1]

    def noise_power(self, inner: Tensor, power: float, size: int, *, known: bool) -> float:
        """Return s^2: the power of x a coordinate, off all that the records span.

        `inner` is D x `[n]`, `power` is x'x and `size` the number of coordinates, which must
        exceed the rank. Where the noise is `known`, and so of variance 1, its chance is no
        other record; far below that, the defense adds less noise than its card says.
        """
        seen, freedom = self._seen, size - self.rank
        along = (self.vectors.T @ inner)[seen]
        rest = (power - float((along.square() / self.values[seen]).sum())) / freedom
        if known and abs(rest - 1) <= _BEYOND_CHANCE * (2 / freedom) ** 0.5:
            return 1.0
        return max(rest, _QUIET * float(self.values.mean()), torch.finfo(torch.float64).tiny)

    def allowing_for_others(
        self, inner: Tensor, *, noise_power: float, variance: float
    ) -> tuple[Tensor, Tensor]:
        """Return <d_i, x> and <d_i, d_i> under S_i, each `[n]`; `inner` is D x, v `variance`."""
        damped = noise_power + variance * self.values
        aligned = self.vectors @ ((self.vectors.T @ inner) / damped)
        square = self.vectors.square() @ (self.values / damped)
        left = (1 - variance * square).clamp_min(torch.finfo(torch.float64).eps)
        return aligned / left, square / left


def draws(rate: float, steps: int, share: float) -> tuple[float, float]:
    """Return e and v of a record's draws in `steps` steps at `rate`, if `share` are members.

    >>> draws(0.5, 1, 0.5)
    (0.25, 0.1875)
    """
    mean = steps * share * rate
    return mean, share * steps * rate * (1 - rate) + share * (1 - share) * (steps * rate) ** 2
