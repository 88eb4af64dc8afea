"""How many records come back well enough: rates at a threshold, beside those of a guess.

A value is a likeness of one original and its reconstruction, such as PSNR or SSIM: more is
better. An original without a reconstruction has the value -inf. For limits put the outcomes
of `recovered`, averaged over each independent batch, into `Rate`, and the rates of attack
and prior into `Difference` (`core/intervals.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def recovered(values: Tensor, threshold: float) -> Tensor:
    """Return which originals are recovered, bool `[n]`: a value of `threshold` or more.

    Exact copies have a PSNR of inf and count; NaN never does.

    >>> recovered(torch.tensor([30.0, torch.inf, torch.nan, 12.0]), 20.0)
    tensor([ True,  True, False, False])
    """
    return values >= threshold


def recovery_rate(values: Tensor, threshold: float) -> float:
    """Return the share of originals `[n]` that are recovered, in 0..1; 0 where there is none.

    >>> recovery_rate(torch.tensor([31.0, 18.0, 25.0, 20.0]), 20.0)
    0.75
    """
    return float(recovered(values, threshold).double().mean()) if len(values) else 0.0


def recovery_gain(values: Tensor, threshold: float, prior_values: Tensor) -> float:
    """Return the attack's recovery rate less that of the prior guess, in -1..1.

    `prior_values` `[m]` are the likenesses of the best guess that needs no view, scored
    against the same originals. What it recovers as well is no leakage.

    >>> attack, prior = torch.tensor([[31.0, 18.0, 25.0, 20.0], [21.0, 9.0, 9.0, 9.0]])
    >>> recovery_gain(attack, 20.0, prior)
    0.5
    """
    return recovery_rate(values, threshold) - recovery_rate(prior_values, threshold)


def recovery_curve(
    values: Tensor, thresholds: Sequence[float], prior_values: Tensor | None = None
) -> Tensor:
    """Return the rate, or the gain over a prior where one is given, at each threshold `[t]`.

    >>> recovery_curve(torch.tensor([31.0, 18.0]), [15, 20, 40]).tolist()
    [1.0, 0.5, 0.0]
    """
    none = torch.empty(0) if prior_values is None else prior_values
    return torch.tensor([recovery_gain(values, t, none) for t in thresholds], dtype=torch.float64)


def of_originals(values: Tensor, pairs: Sequence[tuple[int, int]], originals: int) -> Tensor:
    """Return values of matched pairs `[p]` by original, `[originals]`; -inf where unmatched.

    `pairs` are (reconstruction, original), as `match` returns them, in the order of `values`.

    >>> of_originals(torch.tensor([22.0, 35.0]), [(0, 2), (1, 0)], 3)
    tensor([35., -inf, 22.])
    """
    found = torch.full((originals,), -torch.inf, dtype=values.dtype)
    for value, (_, original) in zip(values, pairs, strict=True):
        found[original] = value
    return found
