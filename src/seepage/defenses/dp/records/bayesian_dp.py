"""The Bayesian-DP figure: what holds on average over records of a population, not for each.

The chance, over a record x drawn from the population too, that the privacy loss of T releases
exceeds eps is at most delta with eps = min over lambda of
(log E_x[exp(lambda D_{lambda+1}(x))] - log delta) / lambda, where D is the Renyi divergence of
all T releases for a record of x's gradient length (Triastcyn & Faltings 2020, arXiv 1901.09697).
A record that is longer than the assumed ones has no such protection: this is
no epsilon.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isfinite, log
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import t as student

from ....accounting.sampled_gaussian import SampledGaussian
from ....core.defense import LocalStep
from ....core.errors import UsageError
from .per_record import trainable
from .record_level import clipped

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ....core.views import Loss

_ORDERS = np.array([1 + k / 10 for k in range(1, 100)] + [*range(11, 64), 96, 128, 256, 512])
# Chance that the sample's mean is below the population's by more than what is added for it.
_FAILURE = 1e-15


def bayesian_epsilon(
    lengths: Sequence[float],
    *,
    noise_multiplier: float,
    sample_rate: float = 1.0,
    releases: int = 1,
    delta: float = 1e-5,
) -> float:
    """Return the Bayesian epsilon for a population of which `lengths` are a sample.

    `lengths` `[n]`, n >= 2, are clipped gradients' norms over the clipping norm, in [0, 1]. To
    the mean of the moments is added what a Student-t posterior says with failure 1e-15.
    """
    sample = np.asarray(lengths, dtype=np.float64)
    if len(sample) < 2 or not bool(((sample >= 0) & (sample <= 1)).all()):
        raise UsageError("typical lengths must be two or more numbers from 0 to 1")
    if noise_multiplier == 0:
        return inf
    moments = [
        (_ORDERS - 1) * _divergence(float(length), noise_multiplier, sample_rate, releases)
        for length in sample
    ]
    exponents = np.stack(moments)  # [n, orders]
    most = exponents.max(0)
    usable = np.isfinite(most)
    relative = np.exp(exponents[:, usable] - most[usable])
    slack = student.ppf(1 - _FAILURE, len(sample) - 1) / (len(sample) - 1) ** 0.5
    log_moment = most[usable] + np.log(relative.mean(0) + slack * relative.std(0))
    found = ((log_moment - log(delta)) / (_ORDERS[usable] - 1)).min()
    return float(found) if isfinite(found) else inf


def public_lengths(
    model: nn.Module, loss: Loss, inputs: Tensor, targets: Tensor, *, max_grad_norm: float
) -> tuple[float, ...]:
    """Return the clipped gradient lengths of public records, over `max_grad_norm`.

    Inputs `[n, *shape]` and targets `[n]` are of nobody's data that is to be protected; `loss`
    is a mean over the batch.
    """
    step = LocalStep(model=model, loss=loss, inputs=inputs, targets=targets, expected_batch=1)
    found = clipped(step, {tuple(trainable(model)): max_grad_norm})
    if found is None:
        raise UsageError("there are no public records to take lengths from")
    return tuple((found.lengths[0] / max_grad_norm).clamp(max=1).tolist())


def _divergence(
    length: float, noise_multiplier: float, sample_rate: float, releases: int
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the Renyi divergences of all releases for a record of this length."""
    if length == 0:
        return np.zeros_like(_ORDERS)
    mechanism = SampledGaussian(
        noise_multiplier=noise_multiplier / length, sample_rate=sample_rate, releases=releases
    )
    return mechanism.renyi(_ORDERS)
