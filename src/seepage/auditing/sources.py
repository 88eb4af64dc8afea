"""Asks which client holds each record, and scores the answers against blind guesses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ..core.claims import Linkage, SourceTruth
from ..core.errors import NotApplicableError, SeepageError
from ..core.seeds import torch_rng
from ..fl.source_views import held_records, source_views
from .evidence import RateEvidence

if TYPE_CHECKING:
    from ..core.attack import Attack
    from ..core.threat import Observer
    from ..core.views import View
    from .cells import Cell
    from .federations import Federations

RECORDS_A_CLIENT = 100

Asked = tuple["View", "View", SourceTruth]


def linkage_views(
    kind: str, federations: Federations, variant: str, observer: Observer, rng: torch.Generator
) -> list[Asked]:
    """Return view, null view and truth of the question who holds which record.

    The null view is of a job that was trained without any of these records. Raises
    `NotApplicableError` where there is one client only, or the view tells clients not apart.
    """
    transcript = federations.transcript(variant)
    if kind != "history" or len(transcript.task.clients) < 2:
        raise NotApplicableError(f"a view of kind {kind!r} does not tell clients apart")
    asked = held_records(transcript.task, rng, limit=RECORDS_A_CLIENT)
    real = source_views(transcript, observer, *asked)
    null = source_views(federations.transcript(f"null-{variant}"), observer, *asked)
    return [(view, other, truth) for (view, truth), (other, _) in zip(real, null, strict=True)]


def linkage_evidence(
    cell: Cell, attack: Attack, asked: list[Asked], *, seed: int, variant: str
) -> RateEvidence:
    """Return how often the client ranked first is the one that holds the record.

    The prior names for every record the client that holds most of them, which is 1 / clients
    where all hold as many. Raises `SeepageError` for a claim of another kind.
    """
    hits: list[list[torch.Tensor]] = []
    for i, (view, null, truth) in enumerate(asked):
        found: list[torch.Tensor] = []
        for name, seen in (("view", view), ("null", null)):
            claim = attack(seen, torch_rng(seed, cell.id, variant, name, i))
            if not isinstance(claim, Linkage) or len(claim.ranking) != len(truth.client):
                raise SeepageError(f"{cell.attack.name} ranked no clients for each record")
            found.append(claim.ranking[:, 0] == truth.client)
        hits.append([*found, truth.client == truth.client.mode().values])
    value, null, prior = (torch.cat(part).double().tolist() for part in zip(*hits, strict=True))
    return RateEvidence(
        metric="source_accuracy",
        value=tuple(value),
        null=tuple(null),
        prior=tuple(prior),
        n=len(value),
    )
