"""Views of single updates and of aggregates, with the batches behind them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING

import torch

from ..core.claims import BatchTruth
from ..core.threat import Capability, Observer
from ..core.views import AggregateView, UpdateView
from .vantage import common, model_at, recorded, sees

if TYPE_CHECKING:
    from torch import nn

    from ..core.task import Records
    from .transcript import RoundRecord, Transcript


def update_views(
    transcript: Transcript, observer: Observer, rounds: Iterable[int]
) -> list[tuple[UpdateView, BatchTruth]]:
    """Return a View of each released update of the given (recorded) rounds.

    Empty where the observer does not see client updates or the models they start from. A
    client that drew no record has a View too; its truth is empty.
    """
    needed = (Capability.SEES_CLIENT_UPDATES, Capability.SEES_GLOBAL_MODELS)
    if not sees(transcript, observer, *needed):
        return []
    pairs: list[tuple[UpdateView, BatchTruth]] = []
    for record in recorded(transcript, rounds):
        for client, update in record.released.items():
            view = UpdateView(
                **common(transcript, observer, clients=[client]),
                round=record.round,
                client=client,
                model=_received(transcript, record, client),
                update=update,
            )
            cluster = f"{transcript.replica}/{record.round}/{client}"
            pairs.append((view, _truth([record.batches[client]], cluster)))
    return pairs


def aggregate_views(
    transcript: Transcript, observer: Observer, rounds: Iterable[int]
) -> list[tuple[AggregateView, BatchTruth]]:
    """Return a View of the aggregate of each of the given (recorded) rounds.

    The truth is the union of the cohort's batches. Empty where the observer does not see
    aggregates, or sees the single updates, which tell more. A round that the clients'
    defenses aborted has an empty aggregate; one that nobody took part in has no View.
    """
    needed = (Capability.SEES_AGGREGATES, Capability.SEES_GLOBAL_MODELS)
    if not sees(transcript, observer, *needed):
        return []
    if sees(transcript, observer, Capability.SEES_CLIENT_UPDATES):
        return []
    pairs: list[tuple[AggregateView, BatchTruth]] = []
    for record in recorded(transcript, rounds):
        if not record.batches:
            continue
        view = AggregateView(
            **common(transcript, observer, clients=list(record.batches)),
            round=record.round,
            contributors=len(record.batches) + record.sybils,
            model=_usual(transcript, record),
            aggregate=record.aggregate,
            sent={c: deepcopy(m).train() for c, m in record.sent.items()},
            cohort=tuple(sorted(record.batches)),
            sybils=record.sybils,
        )
        cluster = f"{transcript.replica}/{record.round}"
        pairs.append((view, _truth(list(record.batches.values()), cluster)))
    return pairs


def _received(transcript: Transcript, record: RoundRecord, client: int) -> nn.Module:
    """Return a copy of the model that a client was sent."""
    if client in record.sent:
        return deepcopy(record.sent[client]).train()
    return model_at(transcript, record.state, training=True)


def _usual(transcript: Transcript, record: RoundRecord) -> nn.Module:
    """Return a copy of the model that most of the round's clients were sent."""
    sent = [id(record.sent[c]) if c in record.sent else 0 for c in record.batches]
    most = max(dict.fromkeys(sent), key=sent.count)
    client = next(c for c, model in zip(record.batches, sent, strict=True) if model == most)
    return _received(transcript, record, client)


def _truth(batches: Sequence[Records], cluster: str) -> BatchTruth:
    return BatchTruth(
        inputs=torch.cat([b.inputs for b in batches]),
        targets=torch.cat([b.targets for b in batches]),
        rows=torch.cat([b.rows for b in batches]),
        cluster=cluster,
    )
