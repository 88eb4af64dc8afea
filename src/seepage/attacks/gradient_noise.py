"""The Gaussian noise that the defenses in force are known to have put on a gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from .record_defenses import RECORD_LEVEL, noise_factors, record_defense

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor

    from ..core.cards import DefenseCard
    from ..core.views import JobFacts, Update

Deviations = dict[str, "float | Tensor"]


def gradient_noise(
    cards: Iterable[DefenseCard],
    job: JobFacts,
    like: Update,
    *,
    number: int,
    batch: int | None,
) -> Deviations | None:
    """Return the noise's standard deviation in one client's mean gradient, by parameter.

    The gradient is -update / (lr * local steps) in round `number`, `like` has its shapes, and
    `batch` is the expected batch size. A deviation is one number, or one for each coordinate.
    Public cards tell it (Kerckhoffs): under a defense of single records the noise on each
    step's sum, under `local-dp` that on the update. None where they don't, or where some
    parameter has no noise.
    """
    variances: dict[str, float | Tensor] = dict.fromkeys(like, 0.0)
    for card in cards:
        if card.name in RECORD_LEVEL:
            added = _of_steps(card, job, like, number, batch)
        elif card.name == "local-dp":
            added = _of_the_update(card, job, like)
        else:
            continue
        if added is None:
            return None
        variances = {name: variances[name] + added[name] for name in variances}
    if not variances or any(_least(v) <= 0 for v in variances.values()):
        return None
    return {name: variance**0.5 for name, variance in variances.items()}


def flat_deviations(deviations: Mapping[str, float | Tensor], like: Update) -> Tensor:
    """Return the deviations of all coordinates in the order of `like`, `[p]`."""
    return torch.cat(
        [
            torch.as_tensor(deviations[name]).to(value).expand(value.shape).reshape(-1)
            for name, value in like.items()
        ]
    )


def _of_steps(
    card: DefenseCard, job: JobFacts, like: Update, number: int, batch: int | None
) -> Mapping[str, float | Tensor] | None:
    """Return variances of the mean over the steps of a round; None where not all are known."""
    if not batch:
        return None
    total: dict[str, float | Tensor] = dict.fromkeys(like, 0.0)
    first = number * job.local_steps
    for step in range(first, first + job.local_steps):
        defense = record_defense([card], like, step)
        if defense is None or defense.deviations is None:
            return None
        total = {n: total[n] + defense.deviations[n] ** 2 for n in total}
    return {n: v / (batch * job.local_steps) ** 2 for n, v in total.items()}


def _of_the_update(
    card: DefenseCard, job: JobFacts, like: Update
) -> Mapping[str, float | Tensor] | None:
    norm, times = card.settings.get("max_norm"), card.settings.get("noise_multiplier")
    if not isinstance(norm, int | float) or not isinstance(times, int | float):
        return None
    even = norm * times / (job.lr * job.local_steps)
    return {n: (even * factor) ** 2 for n, factor in noise_factors(card, like).items()}


def _least(variance: float | Tensor) -> float:
    return variance if isinstance(variance, float) else float(torch.as_tensor(variance).min())
