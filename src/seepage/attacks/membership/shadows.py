"""Federations trained as the target's was, of which it is known what they were trained on.

Online, each shadow trains on a share of the candidates and fills up with auxiliary records;
each candidate is in as many shadows as any other, and half of them where so many records fit.
Offline, shadows train on auxiliary records alone. Which records a shadow gets depends on
nothing but the candidates, so that attacks of one audit share their shadows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ...core.errors import NotApplicableError
from ...core.views import AuxiliaryData, GlobalModelsView, Simulation
from ..memory import content
from .candidate_losses import known_candidates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from ...core.views import ModelView, OutputsView, Simulated

    ShadowedView = ModelView | OutputsView | GlobalModelsView


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Shadows:
    """Shadow federations, and what they were trained on.

    Fields
    ------
    pool : candidates `[:n]`, then auxiliary records
    inside : `[k, pool]` bool: which records of the pool a federation was trained on
    federations : as the observer would have seen them
    """

    pool: AuxiliaryData
    inside: Tensor
    federations: Sequence[Simulated]


def shadows_of(view: ShadowedView, count: int, *, online: bool) -> Shadows:
    """Return `count` shadow federations.

    Raises `NotApplicableError` where the observer can't simulate, or has too few records.
    """
    simulation = view.fact(Simulation)
    if simulation is None:
        raise NotApplicableError("this observer can't train federations of its own")
    candidates, known = known_candidates(view), view.fact(AuxiliaryData)
    n, extra = len(candidates.targets), len(known.targets) if known else 0
    inputs, targets = [candidates.inputs], [candidates.targets]
    if known is not None:
        inputs, targets = [*inputs, known.inputs], [*targets, known.targets]
    pool = AuxiliaryData(torch.cat(inputs), torch.cat(targets))
    key = content(("shadows", count, online), [candidates.inputs, candidates.targets])
    seed = int(key[:12], 16)
    rng = torch.Generator().manual_seed(seed)
    chosen = _shares(n, simulation.records, count, rng) if online else [_none()] * count
    parts = [_filled(own, n, extra, simulation.records, rng) for own in chosen]
    if min(map(len, parts)) < 2:
        raise NotApplicableError(
            "too few auxiliary records to train shadow federations on: hold out more, or attack "
            "online"
        )
    rounds = [number for number, _ in view.rounds] if isinstance(view, GlobalModelsView) else []
    inside = torch.zeros(count, len(pool.targets), dtype=torch.bool)
    for row, part in zip(inside, parts, strict=True):
        row[part] = True
    return Shadows(
        pool=pool, inside=inside, federations=simulation.train(pool, parts, rounds, seed)
    )


def times_in(view: ShadowedView, count: int) -> int:
    """Return in how many of `count` online shadow federations each candidate is at least."""
    simulation = view.fact(Simulation)
    n = len(known_candidates(view).targets)
    return count * _share(n, simulation.records) // n if simulation else 0


def _share(n: int, records: int) -> int:
    """Return how many of `n` candidates a federation of so many records trains on."""
    return max(min(n // 2, records), 1)


def _shares(n: int, records: int, count: int, rng: torch.Generator) -> list[Tensor]:
    """Return the candidates of each shadow: parts of one shuffle after the other."""
    size = _share(n, records)
    shares: list[Tensor] = []
    while len(shares) < count:
        order = torch.randperm(n, generator=rng)
        shares += list(order[: n // size * size].split(size))
    return shares[:count]


def _filled(own: Tensor, n: int, extra: int, records: int, rng: torch.Generator) -> Tensor:
    """Return a shadow's records in the pool: its candidates, and auxiliary ones up to `records`."""
    missing = min(max(records - len(own), 0), extra)
    return torch.cat([own, n + torch.randperm(extra, generator=rng)[:missing]])


def _none() -> Tensor:
    return torch.empty(0, dtype=torch.int64)
