"""How good reconstructions look: the detail beside the identification rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..core.claims import BatchTruth, Reconstruction
from ..core.columns import TableColumn
from ..core.intervals import Difference, Rate
from ..core.task import Records, Task
from ..metrics.features import FeatureSpace
from ..metrics.matching import match
from ..metrics.reconstruction import psnr, ssim
from ..metrics.recovery import of_originals, recovery_rate

CANDIDATES = 1000
RECOVERED_DB = (15.0, 20.0, 25.0)
"""PSNR from which a record counts as recovered: a likeness, a clear picture, hardly a fault."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Background:
    """What scoring needs of a task besides claim and truth: its gallery and its prior."""

    gallery: Tensor
    auxiliary: Records
    value_range: float
    columns: tuple[TableColumn, ...] = ()

    @classmethod
    def of(cls, task: Task, rng: torch.Generator) -> Background:
        """Draw up to 1,000 candidates among the clients' records."""
        records = [r for c in task.clients for r in (c.train.inputs, c.holdout.inputs)]
        inputs = torch.cat(records)
        chosen = torch.randperm(len(inputs), generator=rng)[:CANDIDATES]
        low, high = task.value_range or (0.0, 1.0)
        return cls(
            gallery=inputs[chosen],
            auxiliary=task.auxiliary,
            value_range=high - low,
            columns=task.columns,
        )

    @cached_property
    def features(self) -> FeatureSpace:
        """What a small net that is trained on auxiliary records sees."""
        rng = torch.Generator().manual_seed(0)
        return FeatureSpace.fit(self.auxiliary.inputs, self.auxiliary.targets, rng, steps=120)

    @cached_property
    def mean_record(self) -> Tensor:
        """The mean auxiliary record, `[1, *shape]`."""
        return self.auxiliary.inputs.mean(0, keepdim=True)


def recovered(
    claims: Sequence[Reconstruction], truths: Sequence[BatchTruth]
) -> dict[int, tuple[Tensor, Tensor]]:
    """Return by row of the data: the record and the reconstruction matched to it."""
    pairs: dict[int, tuple[Tensor, Tensor]] = {}
    for claim, truth in zip(claims, truths, strict=True):
        for i, j in match(claim.inputs, truth.inputs):
            pairs.setdefault(int(truth.rows[j]), (truth.inputs[j], claim.inputs[i]))
    return pairs


def quality(
    claims: Sequence[Reconstruction], truths: Sequence[BatchTruth], background: Background
) -> dict[str, Any]:
    """Return PSNR, SSIM, feature distance and recovery rates as detail.

    Medians are over matched pairs, because exact hits have infinite PSNR. A recovery rate
    is over all victims, less that of the mean auxiliary record, with a 95 % interval over
    draws.
    """
    details: dict[str, Any] = {"candidates": len(background.gallery)}
    if note := next((c.explanation for c in claims if c.explanation), ""):
        details["note"] = note
    pairs = list(recovered(claims, truths).values())
    if not pairs:
        return details
    true, claimed = (torch.stack(column) for column in zip(*pairs, strict=True))
    claimed = claimed.nan_to_num()
    decibels = psnr(claimed, true, value_range=background.value_range)
    details["psnr_median_db"] = round(min(float(decibels.median()), 999.0), 2)
    details["recovery"] = _recovery(claims, truths, background)
    if true.ndim == 4:
        similarity = ssim(claimed, true, value_range=background.value_range)
        window = min(7, *true.shape[-2:])
        details["ssim_median"] = round(float(similarity.median()), 4)
        details["ssim_window"] = f"{window}x{window} uniform"
        apart = background.features.distance(claimed, true)
        guess = background.features.distance(background.mean_record.expand_as(true), true)
        details["feature_distance_median"] = round(float(apart.median()), 4)
        details["feature_distance_of_prior"] = round(float(guess.median()), 4)
    return details


def _recovery(
    claims: Sequence[Reconstruction], truths: Sequence[BatchTruth], background: Background
) -> dict[str, Any]:
    """Return by threshold the rate, and the gain over the prior with its interval."""
    found: list[Tensor] = []
    guess: list[Tensor] = []
    for claim, truth in zip(claims, truths, strict=True):
        matched = match(claim.inputs, truth.inputs)
        left = torch.tensor([i for i, _ in matched], dtype=torch.int64)
        right = torch.tensor([j for _, j in matched], dtype=torch.int64)
        values = psnr(claim.inputs[left], truth.inputs[right], value_range=background.value_range)
        found.append(of_originals(values, matched, len(truth.inputs)))
        mean = background.mean_record.expand_as(truth.inputs)
        guess.append(psnr(mean, truth.inputs, value_range=background.value_range))
    told: dict[str, Any] = {}
    for threshold in RECOVERED_DB:
        rates = Rate(np.array([recovery_rate(v, threshold) for v in found]))
        prior = Rate(np.array([recovery_rate(v, threshold) for v in guess]))
        gain = Difference(rates, prior)
        low, high = gain.interval()
        told[f"{threshold:.0f} dB"] = {
            "rate": round(rates.value, 4),
            "gain": round(gain.value, 4),
            "gain_ci": [round(low, 4), round(high, 4)],
        }
    return told
