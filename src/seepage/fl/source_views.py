"""Views that ask which client holds a record."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from ..core.claims import SourceTruth
from .membership_views import history_views

if TYPE_CHECKING:
    from torch import Tensor

    from ..core.task import Records, Task
    from ..core.threat import Observer
    from ..core.views import HistoryView
    from .transcript import Transcript

NOBODY = -1
"""In the place of the client that a history asks about: it asks which."""


def source_views(
    transcript: Transcript, observer: Observer, asked: Records, client: Tensor
) -> list[tuple[HistoryView, SourceTruth]]:
    """Return one View of all clients' updates that asks who holds the records `asked`.

    `client` `[n]` says who does. Empty where the observer does not see single updates.
    """
    everybody = {0: (asked, torch.ones(len(asked), dtype=torch.bool))}
    truth = SourceTruth(client=client, cluster=str(transcript.replica))
    return [
        (replace(view, client=NOBODY), truth)
        for view, _ in history_views(transcript, observer, candidates=everybody)
    ]


def held_records(task: Task, rng: torch.Generator, *, limit: int) -> tuple[Records, Tensor]:
    """Draw at most `limit` training records of each client, shuffled, and who holds each."""
    parts: list[Records] = []
    holders: list[Tensor] = []
    for number, client in enumerate(task.clients):
        chosen = torch.randperm(len(client.train), generator=rng)[:limit]
        parts.append(client.train.take(chosen))
        holders.append(torch.full((len(chosen),), number))
    joined = type(parts[0]).joined(parts)
    order = torch.randperm(len(joined), generator=rng)
    return joined.take(order), torch.cat(holders)[order]
