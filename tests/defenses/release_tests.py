"""Tests a claim by releases with and without a unit: a refutation is wrong once in a million."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from scipy.stats import chi2
from torch import Tensor

from seepage.accounting.bounds import Profile
from seepage.core.intervals import clopper_pearson
from seepage.core.seeds import torch_rng

RARE = 1e-6
Release = Callable[[bool, torch.Generator], Mapping[str, Tensor]]


def refutes(claim: Profile, release: Release, *, train: int = 400, test: int = 1000) -> str:
    """Return what releases show against `claim`, or nothing.

    `release(there, rng)` is one release with the unit or its neighbor. A direction and a
    threshold are learned from some releases; on others they may not beat the trade-off.
    """
    present, absent = (
        torch.stack([_flat(release(there, torch_rng(i, there))) for i in range(train + test)])
        for there in (True, False)
    )
    direction = present[:train].mean(0) - absent[:train].mean(0)
    present, absent = present @ direction, absent @ direction
    steps = torch.linspace(0.5, 0.999, 40, dtype=torch.float64)
    thresholds = absent[:train].quantile(steps).tolist()
    best = max(
        thresholds, key=lambda t: _excess(claim, present[:train], absent[:train], float(t))[0]
    )
    excess, said = _excess(claim, present[train:], absent[train:], best)
    return said if excess > 0 else ""


def noise_refutes(noise: Tensor, deviation: float) -> bool:
    """Whether values have no variance of `deviation` squared, if they are normal."""
    statistic = float((noise.double() / deviation).square().sum())
    low, high = chi2.ppf([RARE / 2, 1 - RARE / 2], noise.numel())
    return not low < statistic < high


def _excess(claim: Profile, present: Tensor, absent: Tensor, threshold: float) -> tuple[float, str]:
    """Return by how much the true positives surely exceed what the false positives allow."""
    hits, false = int((present > threshold).sum()), int((absent > threshold).sum())
    tpr = clopper_pearson(hits, len(present), 1 - RARE)[0]
    fpr = clopper_pearson(false, len(absent), 1 - RARE)[1]
    most = claim.max_tpr(fpr)
    return tpr - most, f"true positives of {tpr:.2f} at least, {most:.2f} at most"


def _flat(update: Mapping[str, Tensor]) -> Tensor:
    return torch.cat([value.double().flatten() for value in update.values()])
