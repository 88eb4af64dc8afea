"""Views that ask which of the candidate clients took part, by all the records that they hold."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from ..core.claims import MembershipTruth
from ..core.errors import NotApplicableError
from ..core.task import Records
from ..core.views import CandidateClients, Candidates
from .candidates import usable
from .membership_views import global_models_view, model_view, outputs_view

if TYPE_CHECKING:
    from torch import Tensor

    from ..core.task import Task
    from ..core.threat import Observer
    from ..core.views import GlobalModelsView, ModelView, OutputsView
    from .transcript import Transcript

    ParticipationView = GlobalModelsView | ModelView | OutputsView

_BUILDERS = {
    "global-models": global_models_view,
    "model": model_view,
    "outputs": outputs_view,
}


def clients_records(task: Task, rng: torch.Generator, *, limit: int) -> tuple[Records, Tensor]:
    """Draw at most `limit` training records of each client, and who holds each, int64 `[n]`.

    A client's records that repeat another of its own are left out.
    """
    members = usable(task).members
    parts = [m.take(torch.randperm(len(m), generator=rng)[:limit]) for m in members]
    held = [torch.full((len(part),), i) for i, part in enumerate(parts)]
    return Records.joined(parts), torch.cat(held)


def participation_views(
    kind: str,
    transcript: Transcript,
    observer: Observer,
    asked: tuple[Records, Tensor],
    took_part: Tensor,
) -> list[tuple[ParticipationView, MembershipTruth]]:
    """Return one View that asks which clients took part; none where the observer sees nothing.

    `asked` are the records of all clients and who holds each, `took_part` `[clients]` bool is
    the truth. Raises `NotApplicableError` where a view of this kind can't ask that.
    """
    if kind not in _BUILDERS:
        raise NotApplicableError(f"a view of kind {kind!r} asks of no clients")
    records, client = asked
    clients = CandidateClients(records.inputs, records.targets, client)
    found = _BUILDERS[kind](transcript, observer, records, took_part[client])
    return [
        (
            replace(view, facts=(clients, *(f for f in view.facts if not _of_records(f)))),
            MembershipTruth(member=took_part, cluster=truth.cluster),
        )
        for view, truth in found
    ]


def _of_records(fact: object) -> bool:
    return isinstance(fact, Candidates)
