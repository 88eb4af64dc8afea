"""A denoiser learned from auxiliary records: the posterior mean under their smoothed bootstrap.

Each auxiliary record a_i stands for records like it, x ~ N(c_i, s Sigma) with
c_i = m + sqrt(1 - s) (a_i - m), so that all together have the mean m and the covariance Sigma
of the records whatever the smoothing s is (Silverman 1986, section 6.4). Under a noisy look y
of known precision the posterior is again a mixture, with weights by the evidence of y, and its
mean is that of the Gaussian with the mean sum_i w_i c_i. With s = 1 it is the Wiener filter,
with s near 0 the weighted mean of the auxiliary records themselves. s is what errs least on
auxiliary records that were left out, under the same noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

import torch

from .gaussian_prior import GaussianPrior

if TYPE_CHECKING:
    from torch import Tensor

_SMOOTHINGS = (1.0, 0.7, 0.4, 0.2, 0.1, 0.05)
_HELD_SHARE, _MOST_HELD = 4, 200


@dataclass(frozen=True, slots=True, eq=False)
class SmoothedRecords:
    """The mixture, for looks of one precision.

    Fields
    ------
    prior : the Gaussian of the auxiliary records
    centers : c_i, `[k, n]`
    smoothing : s, above 0 and at most 1
    error : mean squared error on records that were left out when s was chosen
    prior_error : that of their mean
    """

    prior: GaussianPrior
    centers: Tensor
    smoothing: float
    error: float
    prior_error: float

    @classmethod
    def of(
        cls, records: Tensor, precision: Tensor, *, components: int, rng: torch.Generator
    ) -> SmoothedRecords:
        """Fit to auxiliary records `[k, n]`, k >= 4, for looks of `precision` `[n]`.

        The records left out, and the noise on them, are drawn from `rng`.
        """
        records = records.double()
        order = torch.randperm(len(records), generator=rng)
        held = min(_MOST_HELD, len(records) // _HELD_SHARE)
        judges, others = records[order[:held]], records[order[held:]]
        looks = judges + torch.randn(
            judges.shape, generator=rng, dtype=judges.dtype
        ) * precision.clamp_min(torch.finfo(judges.dtype).tiny).rsqrt().clamp(max=1e12)
        prior = GaussianPrior.of(others, components)
        errors: dict[float, float] = {}
        for smoothing in _SMOOTHINGS:
            trial = cls(prior, _centers(prior, others, smoothing), smoothing, 0.0, 0.0)
            found = trial(looks, precision)
            errors[smoothing] = float((found - judges).square().mean())
        best = min(errors, key=lambda s: (errors[s], -s))
        whole = GaussianPrior.of(records, components)
        return cls(
            whole,
            _centers(whole, records, best),
            best,
            errors[best],
            float((prior.mean - judges).square().mean()),
        )

    def __call__(self, looks: Tensor, precision: Tensor) -> Tensor:
        """Return the posterior means of looks `[k, n]` under noise of `precision` `[n]`."""
        narrow = self.prior.scaled(self.smoothing)
        if self.smoothing == 1:
            return narrow.posterior(looks, precision)[0]
        turned, own = narrow.surprise(looks, precision)
        _, squares = narrow.surprise(self.centers, precision)
        distances = own[:, None] - 2 * turned @ self.centers.T + squares
        around = (-distances / 2).softmax(1) @ self.centers
        return narrow.posterior(looks, precision, around)[0]


def _centers(prior: GaussianPrior, records: Tensor, smoothing: float) -> Tensor:
    return prior.mean + sqrt(1 - smoothing) * (records - prior.mean)
