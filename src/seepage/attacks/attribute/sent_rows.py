"""What a sparse gradient of the last layer says of each logit's gradient.

A row of the layer's gradient is one logit's: with g_ik what record i adds at logit k and
h_i its features, the bias gradient is the mean of g_ik and the weight gradient that of
g_ik h_i. Where the bias was not sent, the row's weights that were give an estimate of it:
their projection on the mean features. Under top-k an unsent bias is besides at most as
large as the least value that was sent. Where a row was not sent at all, the estimate is 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

_TINY = 1e-30
# Variance of an estimate from weights, by that of a value of which only the bound is known.
_BY_WEIGHTS = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class LogitSums:
    """One number a row, and how a record adds to it.

    Fields
    ------
    value : the mean over records of what each adds, `[classes]`
    variance : of the error of `value` beyond what records differ by, `[classes]`
    features : what weighs a record's features in each row `[classes, features]`; None where
        a record adds its logit's gradient itself
    """

    value: Tensor
    variance: Tensor
    features: Tensor | None

    def of(self, gradients: Tensor, features: Tensor) -> Tensor:
        """Return what records add, `[n, classes]`.

        `gradients` are those of their logits `[n, classes]`, `features` what went into the
        layer `[n, features]`.
        """
        return gradients if self.features is None else gradients * (features @ self.features.T)


def logit_sums(weight: Tensor, bias: Tensor | None, mean: Tensor, bound: float | None) -> LogitSums:
    """Return what the gradients `weight` `[classes, features]` and `bias` `[classes]` tell.

    `mean` are a record's mean features `[features]`. `bound` is what no value that was not
    sent exceeds; infinite where nothing is known of it; None: all was sent, zeros included.
    """
    if bias is not None and bound is None:
        return LogitSums(bias, torch.zeros_like(bias), None)
    sent = torch.ones_like(weight, dtype=torch.bool) if bound is None else weight != 0
    known = torch.where(sent, mean, torch.zeros_like(mean))
    power = known.square().sum(1, keepdim=True)
    features = known / power.clamp_min(_TINY)
    value = (features * weight).sum(1)
    if bound is None:
        return LogitSums(value, torch.zeros_like(value), features)
    # Without a bound, what is not known is taken to be as large as what is, several times.
    seen = max(float(weight.abs().max()), 0.0 if bias is None else float(bias.abs().max()))
    reach = min(bound, 3 * seen + _TINY)
    variance = torch.full_like(value, reach**2 / 3)
    heard = power.flatten() > _TINY
    if bias is None:
        return LogitSums(value, torch.where(heard, 0.0, variance), features)
    variance[heard] *= _BY_WEIGHTS
    there = bias != 0
    value = torch.where(there, bias, value.clamp(-bound, bound))
    return LogitSums(value, torch.where(there, 0.0, variance), None)
