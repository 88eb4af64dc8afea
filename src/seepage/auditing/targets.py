"""Asks of one record at a time whether a client holds it, where a malicious server may move.

In a round each client of the cohort is sent a model that is about one record of its own
question; where only sums come back, all are sent one that is about the same record. Each such
round is a question of its own: the job goes on as if it had failed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..core.attack import ActiveAttack, ServerMove
from ..core.claims import MembershipScores
from ..core.errors import NotApplicableError, SeepageError
from ..core.seeds import torch_rng
from ..core.views import Candidates, UpdateView
from ..fl import views as cut
from ..fl.candidates import CandidateSets, candidates
from ..fl.malicious import malicious_round
from .moves import client_sees

if TYPE_CHECKING:
    from torch import nn

    from ..core.task import Records
    from ..core.views import ServerKnowledge, View
    from ..fl.transcript import Transcript
    from .cells import Cell
    from .federations import Federations

QUESTIONS = 120
"""Records asked about in one job, half of them members; where sums hide clients, a half of it."""

LAST_ROUNDS = 3
"""Recorded rounds, from the end of the job, in which the server moves."""

Turn = Mapping[int, tuple["Records", bool]]
"""By client, the record that it is asked about and whether it trains on it; -1: all clients."""

_ALL = -1


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """Scores of the records asked about by the view and its null, `[n]`, and who is a member."""

    scores: np.ndarray
    null: np.ndarray
    member: np.ndarray
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])


def target_answers(
    cell: Cell,
    attack: ActiveAttack,
    federations: Federations,
    *,
    kind: str,
    variant: str,
    seed: int,
) -> Answers:
    """Ask about records of every client, half of which it trains on.

    `kind` is `update`, or `aggregate` where single updates are hidden. The null asks the same of
    the job that was trained without any of the records. Raises `DataError` where there are too
    few of them, `NotApplicableError` where the view is of another kind.
    """
    if kind not in {"update", "aggregate"}:
        raise NotApplicableError(f"a view of kind {kind!r} shows no answer to a server's move")
    transcripts = [federations.transcript(v) for v in (variant, f"null-{variant}")]
    rng = torch_rng(seed, cell.task, variant, "candidates")
    asked = candidates(transcripts[0].task, rng, limit=QUESTIONS)
    found: list[tuple[float, float, bool]] = []
    details: dict[str, Any] = {}
    for attempt, turn in enumerate(_turns(asked, rng, summed=kind == "aggregate")):
        scores: list[Mapping[int, float]] = []
        for name, transcript in zip(("view", "null"), transcripts, strict=True):
            move = torch_rng(seed, cell.id, variant, name, attempt)
            number = _moved(transcript, attempt)
            server = _Server(attack, {c: record for c, (record, _) in turn.items()}, move)
            acted = malicious_round(
                transcript, cell.observer, number, server.move, attempt=attempt + 1
            )
            if not details:
                details = {"client_sees": client_sees(acted, [number])}
            scores.append(server.scores(acted, cell, kind, number))
        both = scores[0].keys() & scores[1].keys()
        found += [(scores[0][c], scores[1][c], turn[c][1]) for c in sorted(both)]
    if not found:
        raise NotApplicableError("no client answered in any of the rounds")
    real, null, member = map(np.array, zip(*found, strict=True))
    return Answers(scores=real, null=null, member=member, details=details)


@dataclass(frozen=True, slots=True, eq=False)
class _Server:
    """The attack's move about a record a client, and what it makes of the answers."""

    attack: ActiveAttack
    records: Mapping[int, Records]
    rng: torch.Generator

    def move(self, knowledge: ServerKnowledge) -> ServerMove:
        """Let the attack act for each client on its own, as if it were the whole cohort."""
        models: dict[int, nn.Module] = {}
        for client, record in self.records.items():
            cohort = knowledge.cohort if client == _ALL else (client,)
            if set(cohort) <= set(knowledge.cohort):
                facts = (*knowledge.facts, Candidates(record.inputs, record.targets))
                told = replace(knowledge, cohort=cohort, facts=facts)
                models |= self.attack.act(told, self.rng).models
        return ServerMove(models=models)

    def scores(self, acted: Transcript, cell: Cell, kind: str, number: int) -> dict[int, float]:
        """Return the score of each client's record, by client."""
        build = cut.update_views if kind == "update" else cut.aggregate_views
        views: list[View] = [view for view, _ in build(acted, cell.observer, [number])]
        found: dict[int, float] = {}
        for view in views:
            client = view.client if isinstance(view, UpdateView) else _ALL
            if client not in self.records:
                continue
            record = self.records[client]
            fact = Candidates(record.inputs, record.targets)
            claim = self.attack(replace(view, facts=(*view.facts, fact)), self.rng)
            if not isinstance(claim, MembershipScores) or len(claim.scores) != 1:
                raise SeepageError(f"{cell.attack.name} gave no score for the record asked about")
            found[client] = float(claim.scores[0])
        return found


def _moved(transcript: Transcript, attempt: int) -> int:
    last = sorted(transcript.rounds)[-LAST_ROUNDS:]
    return last[attempt % len(last)]


def _turns(asked: CandidateSets, rng: torch.Generator, *, summed: bool) -> Iterator[Turn]:
    """Yield what is asked in each round, until `QUESTIONS` are or a client's records run out."""
    if summed:
        for record, member in _balanced(*asked.pooled, QUESTIONS // 2, rng):
            yield {_ALL: (record, member)}
        return
    each = ceil(QUESTIONS / len(asked.by_client) / 2) * 2
    queues = {c: _balanced(*found, each, rng) for c, found in asked.by_client.items()}
    for i in range(max(map(len, queues.values()))):
        yield {client: queue[i] for client, queue in queues.items() if i < len(queue)}


def _balanced(
    records: Records, member: torch.Tensor, most: int, rng: torch.Generator
) -> Sequence[tuple[Records, bool]]:
    """Return `most` single records in random order, half of them members, or as many as pair."""
    sides = [torch.nonzero(side).flatten() for side in (member, ~member)]
    each = min(most // 2, *map(len, sides))
    chosen = torch.cat([side[:each] for side in sides])
    order = chosen[torch.randperm(len(chosen), generator=rng)]
    return [(records.take(i[None]), bool(member[i])) for i in order]
