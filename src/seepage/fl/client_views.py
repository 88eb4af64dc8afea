"""Views of several rounds that ask for one client's records, with all that it used in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ..core.claims import BatchTruth
from ..core.threat import Capability, Observer
from ..core.views import AggregateHistoryView, HistoryView, SeenRound
from .batches import distinct
from .vantage import common, model_at, recorded, seen_aggregate, sees

if TYPE_CHECKING:
    from .transcript import RoundRecord, Transcript


def client_views(
    transcript: Transcript, observer: Observer, rounds: Iterable[int]
) -> list[tuple[HistoryView, BatchTruth]]:
    """Return a View for each client that took part in the given (recorded) rounds.

    The View shows every client's updates of those rounds; the truth holds the distinct
    records that its client used in them. Empty where the observer does not see updates.
    """
    needed = (Capability.SEES_CLIENT_UPDATES, Capability.SEES_GLOBAL_MODELS)
    if not sees(transcript, observer, *needed):
        return []
    records = recorded(transcript, rounds)
    seen = tuple(SeenRound(round=r.round, state=r.state, updates=r.released) for r in records)
    pairs: list[tuple[HistoryView, BatchTruth]] = []
    for client in sorted({c for r in records for c in r.released}):
        view = HistoryView(
            **common(transcript, observer, clients=[client]),
            client=client,
            model=model_at(transcript, records[-1].state, training=True),
            rounds=seen,
        )
        pairs.append((view, _truth(transcript, records, client)))
    return pairs


def summed_client_views(
    transcript: Transcript, observer: Observer, rounds: Iterable[int]
) -> list[tuple[AggregateHistoryView, BatchTruth]]:
    """Return a View for each client that took part in the given (recorded) rounds.

    Every View shows the sums of all of them, and who took part in each; the truth holds the
    distinct records that its client used in them. Rounds without a sum are left out. Empty
    where the observer does not see sums, or sees the single updates, which tell more.
    """
    needed = (Capability.SEES_AGGREGATES, Capability.SEES_GLOBAL_MODELS)
    if not sees(transcript, observer, *needed):
        return []
    if sees(transcript, observer, Capability.SEES_CLIENT_UPDATES):
        return []
    records = [r for r in recorded(transcript, rounds) if r.aggregate]
    return [
        (
            AggregateHistoryView(
                **common(transcript, observer, clients=[client]),
                client=client,
                model=model_at(transcript, records[-1].state, training=True),
                rounds=tuple(map(seen_aggregate, records)),
            ),
            _truth(transcript, records, client),
        )
        for client in sorted({c for r in records for c in r.batches})
    ]


def _truth(transcript: Transcript, records: Sequence[RoundRecord], client: int) -> BatchTruth:
    used = distinct([r.batches[client] for r in records if client in r.batches])
    return BatchTruth(
        inputs=used.inputs,
        targets=used.targets,
        rows=used.rows,
        cluster=f"{transcript.replica}/{records[0].round}/{client}",
    )
