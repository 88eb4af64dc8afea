"""Records whose membership is in question: what clients trained on, and what they held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ..core.task import Records

if TYPE_CHECKING:
    from torch import Tensor

    from ..core.task import Task


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CandidateSets:
    """Candidates with their membership (`[n]` bool), for each client and for the whole job."""

    by_client: dict[int, tuple[Records, Tensor]]
    pooled: tuple[Records, Tensor]


def candidates(task: Task, rng: torch.Generator, *, limit: int = 500) -> CandidateSets:
    """Draw candidates: members from each client's training records, others from its holdout.

    At most `limit` (0: all) of either kind a client are drawn. They come in random order,
    so a candidate's position tells nothing; `pooled` holds those of all clients, shuffled
    once more.
    """
    by_client: dict[int, tuple[Records, Tensor]] = {}
    for i, client in enumerate(task.clients):
        members = _sample(client.train, limit, rng)
        others = _sample(client.holdout, limit, rng)
        yes = torch.ones(len(members), dtype=torch.bool)
        no = torch.zeros(len(others), dtype=torch.bool)
        by_client[i] = _mixed([(members, yes), (others, no)], rng)
    return CandidateSets(by_client=by_client, pooled=_mixed(list(by_client.values()), rng))


def _sample(records: Records, limit: int, rng: torch.Generator) -> Records:
    order = torch.randperm(len(records), generator=rng)
    return records.take(order[:limit] if limit else order)


def _mixed(sets: Sequence[tuple[Records, Tensor]], rng: torch.Generator) -> tuple[Records, Tensor]:
    joined = Records.joined(records for records, _ in sets)
    order = torch.randperm(len(joined), generator=rng)
    return joined.take(order), torch.cat([member for _, member in sets])[order]
