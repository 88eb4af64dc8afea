"""A Gaussian that stands for records, and what it makes of a noisy look at one of them.

x ~ N(mean, U diag(l) U' + e I) has the mean and the principal components of auxiliary records;
e is the mean of what is left (Tipping & Bishop 1999, probabilistic principal components). Seen
through y = x + noise of precision p by coordinate (0: not seen), the posterior mean is the
Wiener filter mean + Sigma (Sigma + diag(1/p))^-1 (y - mean), the least squared error that any
estimate reaches if records are Gaussian. With the tails e integrated out the sums are of the
size of the components:

    w = p / (1 + e p),   A = (diag(1/l) + U' diag(w) U)^-1,   z = A U' diag(w) (y - mean)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from ...memory import Memory, content

if TYPE_CHECKING:
    from torch import Tensor

# Of the mean variance: what a sample of records can't be trusted to lack altogether.
_LEAST_REST = 1e-4
_LEAST = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class GaussianPrior:
    """A Gaussian of `n` coordinates with `r` principal components, in float64.

    Fields
    ------
    mean : `[n]`
    basis : orthonormal columns, `[n, r]`
    variances : along them, beyond the rest, `[r]`, above 0
    rest : variance in every direction, above 0
    """

    mean: Tensor
    basis: Tensor
    variances: Tensor
    rest: float

    @classmethod
    def of(cls, samples: Tensor, components: int) -> GaussianPrior:
        """Return the prior of samples `[k, n]`, k >= 2, of `components` at most."""
        # The one prior of an audit's auxiliary records is asked for by each of its views.
        return _MEMORY.recall(content(components, [samples]), lambda: _made(samples, components))

    @property
    def power(self) -> float:
        """The mean variance of a coordinate, which is the error of guessing the mean."""
        return float(self.variances.sum()) / len(self.mean) + self.rest

    def scaled(self, share: float) -> GaussianPrior:
        """Return the prior with its covariance times `share`, above 0."""
        return replace(self, variances=self.variances * share, rest=self.rest * share)

    def posterior(
        self, seen: Tensor, precision: Tensor, around: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the posterior means of looks `seen` `[..., n]`, and variances `[n]`.

        `precision` `[n]` is 1 over the noise's variance, by coordinate. `around` replaces the
        prior's mean and may differ from look to look, `[..., n]`.
        """
        mean = self.mean if around is None else around
        weight = precision / (1 + self.rest * precision)
        covariance = self._spread(weight)
        gap = seen - mean
        part = ((gap * weight) @ self.basis @ covariance) @ self.basis.T
        found = mean + part + self.rest * weight * (gap - part)
        kept = 1 - self.rest * weight
        along = (self.basis @ covariance * self.basis).sum(1).clamp_min(0)
        return found, self.rest * kept + kept.square() * along

    def surprise(self, gaps: Tensor, precision: Tensor) -> tuple[Tensor, Tensor]:
        """Return Q g for gaps `[k, n]` between a look and the mean, and <g, Q g> `[k]`.

        Q is the inverse covariance of a look, and 0 where it sees nothing.
        """
        weight = precision / (1 + self.rest * precision)
        weighted = gaps * weight
        part = (weighted @ self.basis @ self._spread(weight)) @ self.basis.T
        turned = weighted - part * weight
        return turned, (turned * gaps).sum(-1)

    def _spread(self, weight: Tensor) -> Tensor:
        """Return the posterior covariance along the components, `[r, r]`."""
        inverse = torch.diag(1 / self.variances) + self.basis.T @ (weight[:, None] * self.basis)
        return torch.cholesky_inverse(torch.linalg.cholesky(inverse))


def _made(samples: Tensor, components: int) -> GaussianPrior:
    samples = samples.double()
    mean = samples.mean(0)
    _, sizes, directions = torch.linalg.svd(samples - mean, full_matrices=False)
    spectrum = sizes.square() / (len(samples) - 1)
    r = min(components, len(samples) - 1, len(mean))
    floor = max(_LEAST_REST * float(spectrum.sum()) / len(mean), _LEAST)
    left = float(spectrum[r:].sum()) / max(len(mean) - r, 1)
    rest = max(left, floor)
    beyond = (spectrum[:r] - rest).clamp_min(_LEAST)
    return GaussianPrior(mean, directions[:r].T.contiguous(), beyond, rest)


def _tensors(prior: GaussianPrior) -> tuple[Tensor, ...]:
    return prior.mean, prior.basis, prior.variances


_MEMORY = Memory(_tensors, most_bytes=2**28)
