"""Cuts the views that a cell attacks from transcripts, each with the truth behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from ..core.claims import BatchTruth, MembershipTruth
from ..core.errors import NotApplicableError
from ..core.task import Records
from ..core.threat import Observer
from ..core.views import View
from ..fl import views as cut
from ..fl.candidates import candidates
from ..fl.transcript import Transcript
from .federations import Federations
from .simulating import with_simulation

if TYPE_CHECKING:
    from torch import Tensor

    from ..core.task import Task

ROUNDS_TOGETHER = 4
"""Consecutive rounds of one client that an attack on histories of batches gets at once."""

MEMBERS_A_CLIENT = 500


def batch_views(
    kind: str, transcript: Transcript, observer: Observer, rounds: range
) -> list[tuple[View, BatchTruth]]:
    """Return the views of this kind over `rounds`, one a batch (or one a run of batches).

    Sums of several rounds are shown all at once: fewer tell fewer clients apart.
    """
    if kind == "update":
        return list(cut.update_views(transcript, observer, rounds))
    if kind == "aggregate":
        return list(cut.aggregate_views(transcript, observer, rounds))
    if kind == "aggregate-history":
        return list(cut.summed_client_views(transcript, observer, rounds))
    if kind == "history":
        together = min(ROUNDS_TOGETHER, len(rounds))
        return [
            pair
            for first in range(rounds.start, rounds.stop - together + 1, together)
            for pair in cut.client_views(transcript, observer, range(first, first + together))
        ]
    raise NotApplicableError(f"a view of kind {kind!r} shows no batch to reconstruct")


def membership_views(
    kind: str,
    federations: Federations,
    variant: str,
    observer: Observer,
    rng: torch.Generator,
) -> list[tuple[View, View, MembershipTruth]]:
    """Return view, null view and truth of each membership question.

    Histories ask for every client; their null asks of another client's updates. Views of
    the one final model (or of the global models) have as null the same job trained without
    any of the candidates.
    """
    transcript = federations.transcript(variant)
    asked = candidates(transcript.task, rng, limit=MEMBERS_A_CLIENT)
    if kind == "history":
        clients = len(transcript.task.clients)
        real = cut.history_views(transcript, observer, candidates=asked.by_client)
        null = cut.history_views(
            transcript,
            observer,
            candidates=asked.by_client,
            target_of=lambda client: (client + 1) % clients,
        )
        return [(view, other, truth) for (view, truth), (other, _) in zip(real, null, strict=True)]
    builders: dict[str, Any] = {
        "aggregate-history": cut.aggregate_history_view,
        "global-models": cut.global_models_view,
        "model": cut.model_view,
        "outputs": cut.outputs_view,
    }
    if kind not in builders:
        raise NotApplicableError(f"a view of kind {kind!r} asks of no candidates")
    shop = federations.workshop
    real = builders[kind](transcript, observer, *asked.pooled)
    other = builders[kind](federations.transcript(f"null-{variant}"), observer, *asked.pooled)
    return [
        (with_simulation(view, transcript, shop), with_simulation(null, transcript, shop), truth)
        for view, null, truth in _zip(real, other)
    ]


def asked_records(kind: str, task: Task, rng: torch.Generator) -> tuple[Records, Tensor]:
    """Return the candidates of all questions of this kind, in order, and their membership `[n]`.

    With the generator that `membership_views` was given they are the records behind its views.
    """
    asked = candidates(task, rng, limit=MEMBERS_A_CLIENT)
    if kind != "history":
        return asked.pooled
    by_client = asked.by_client.values()
    return Records.joined(r for r, _ in by_client), torch.cat([member for _, member in by_client])


def _zip(
    real: Sequence[tuple[View, MembershipTruth]], null: Sequence[tuple[View, MembershipTruth]]
) -> list[tuple[View, View, MembershipTruth]]:
    return [(view, other, truth) for (view, truth), (other, _) in zip(real, null, strict=True)]
