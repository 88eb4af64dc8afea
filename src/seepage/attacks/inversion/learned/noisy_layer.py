"""What a linear first layer's noisy gradient says of the record behind it.

For y = W x + b and one record the joined gradient is A = d [x | 1] + noise, with d the loss's
slope at the layer's outputs. Both factors have priors: x is like the auxiliary records, d like
what the model, the loss and the clipping make of them. Given d, each coordinate of x is seen
through

    y_k = sum_j d_j P_jk A_jk / sum_j d_j^2 P_jk,   of precision sum_j d_j^2 P_jk,

P being 1 over the noise's variance, with (d - its estimate) x counted as noise; and given x
so is each d_j. The two posterior means are taken in turn (as in variational principal
components, Bishop 1999).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .gaussian_prior import GaussianPrior

if TYPE_CHECKING:
    from collections.abc import Sequence

_TURNS = 30
_SETTLED = 1e-6
_TINY = 1e-30


@dataclass(frozen=True, slots=True, eq=False)
class LayerGradient:
    """One noisy gradient of the layer, in float64.

    Fields
    ------
    matrix : [dL/dW | dL/db] or dL/dW, `[m, n (+ 1)]`
    variance : of the noise in it, as large
    drives : d of records like it, `[k, m]`
    """

    matrix: Tensor
    variance: Tensor
    drives: Tensor


def together(looks: Sequence[LayerGradient]) -> LayerGradient:
    """Return the mean of looks at one record, under less noise.

    The mean of d_t [x | 1] is of rank one like each of them.
    """
    count = len(looks)
    return LayerGradient(
        torch.stack([look.matrix for look in looks]).mean(0),
        torch.stack([look.variance for look in looks]).sum(0) / count**2,
        torch.stack([look.drives for look in looks]).mean(0),
    )


def seen_record(
    look: LayerGradient, prior: GaussianPrior, drive: GaussianPrior | None = None
) -> tuple[Tensor, Tensor]:
    """Return y and its precision, `[n]` each, of the one record behind a look.

    `prior` is that of the flat record, of n coordinates; `drive` that of d, of m (None: what
    the look's drives say).
    """
    n = len(prior.mean)
    drive = drive or GaussianPrior.of(look.drives, look.drives.shape[1])
    x, spread = prior.posterior(prior.mean, torch.zeros_like(prior.mean))
    seen, precision = x, torch.zeros_like(x)
    if look.matrix.shape[1] > n:  # the bias alone needs no x, and knows the scale
        slope, doubt = drive.posterior(look.matrix[:, -1], 1 / look.variance[:, -1])
    else:
        slope, doubt = drive.posterior(*_slope(look, x, spread))
    for _ in range(_TURNS):
        # What an error of d does to A counts as noise.
        weight = 1 / (look.variance[:, :n] + doubt[:, None] * (x.square() + spread))
        precision = (slope.square()[:, None] * weight).sum(0)
        seen = (slope[:, None] * weight * look.matrix[:, :n]).sum(0) / precision.clamp_min(_TINY)
        before = x
        x, spread = prior.posterior(seen, precision)
        if float((x - before).norm()) <= _SETTLED * float(x.norm()):
            break
        slope, doubt = drive.posterior(*_slope(look, x, spread))
    return seen, precision


def _slope(look: LayerGradient, x: Tensor, spread: Tensor) -> tuple[Tensor, Tensor]:
    """Return what the look says of d, and its precision, `[m]` each, for what is held of x."""
    rows, square = x, x.square() + spread
    if look.matrix.shape[1] > len(x):
        one = torch.ones_like(x[:1])
        rows, square = torch.cat([x, one]), torch.cat([square, one])
    precision = (square / look.variance).sum(1)
    return (rows * look.matrix / look.variance).sum(1) / precision, precision


def beyond_rank_one(matrix: Tensor) -> float:
    """Return the mean square of what one record can't explain of a gradient `[m, n]`."""
    m, n = matrix.shape
    sizes = torch.linalg.svdvals(matrix).square()
    return float(sizes[1:].sum()) / max((m - 1) * (n - 1), 1)
