"""Views of one client's updates over several rounds, with all the records behind them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..core.claims import BatchTruth
from ..core.threat import Capability, Observer
from ..core.views import HistoryView, SeenRound
from .batches import distinct
from .vantage import common, model_at, recorded, sees

if TYPE_CHECKING:
    from .transcript import Transcript


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
        used = distinct([r.batches[client] for r in records if client in r.batches])
        truth = BatchTruth(
            inputs=used.inputs,
            targets=used.targets,
            rows=used.rows,
            cluster=f"{transcript.replica}/{records[0].round}/{client}",
        )
        pairs.append((view, truth))
    return pairs
