"""Attacks one variant of a job, draw after draw, and scores what comes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..core.attack import ActiveAttack, Attack
from ..core.claims import AttributeGuess, BatchTruth, Claim, MembershipScores, Reconstruction
from ..core.errors import SeepageError
from ..core.seeds import torch_rng
from ..core.views import AggregateView, View
from ..fl.candidates import usable
from ..fl.transcript import Transcript
from .attacking import attack_all
from .cells import CLIENTS, Cell, Job, view_kind
from .clients import client_evidence, client_questions
from .columns import column_evidence, column_views
from .evidence import Evidence, membership_evidence
from .federations import Federations, window
from .moves import client_sees, with_moves
from .pictures import Recovered
from .quality import Background, recovered
from .scoring import NULLS, lacks_null, score_attributes, score_reconstructions
from .sources import linkage_evidence, linkage_views
from .targets import target_answers
from .views import batch_views, membership_views

MAX_REPLICAS = 16


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Attempt:
    """One attack on one variant.

    Fields
    ------
    evidence : a figure of merit each
    claims : on each draw, in order
    recovered : by row of the data, the record and what was made of it
    """

    evidence: tuple[Evidence, ...] = ()
    claims: tuple[Claim, ...] = ()
    recovered: Recovered = field(default_factory=dict[int, tuple[Tensor, Tensor]])


class Attempts:
    """Runs attacks on the variants of one job."""

    def __init__(self, *, job: Job, federations: Federations, seed: int) -> None:
        self.job, self.federations, self.seed = job, federations, seed
        self.background = Background.of(job.task, torch_rng(seed, "gallery", job.task.name))

    def run(self, cell: Cell, attack: Attack, variant: str, units: int) -> Attempt:
        """Attack at least `units` draws of a variant (of known records: every one)."""
        if cell.attack.claims == "membership":
            return self._members(cell, attack, variant)
        if cell.attack.claims == CLIENTS:
            return self._clients(cell, attack, variant)
        if cell.attack.claims == "linkage":
            return self._sources(cell, attack, variant)
        if cell.attack.claims == "column":
            return self._column(cell, attack, variant)
        return self._batches(cell, attack, variant, units)

    def kind(self, cell: Cell, variant: str) -> str:
        """Return the kind of view that the cell's attack reads of this variant."""
        defenses = self.job.defenses if variant == "defended" else ()
        return view_kind(cell.attack, cell.observer, defenses) or cell.view

    def _batches(self, cell: Cell, attack: Attack, variant: str, units: int) -> Attempt:
        """Attack draws of batches, replica after replica of the job, until `units` of them."""
        claims: list[Claim] = []
        truths: list[BatchTruth] = []
        details: dict[str, Any] = {}
        for replica in range(MAX_REPLICAS):
            missing = units - sum(bool(len(truth.rows)) for truth in truths)
            if missing <= 0:
                break
            transcript = self.transcript(cell, attack, variant, replica)
            if replica == 0 and isinstance(attack, ActiveAttack):
                details["client_sees"] = client_sees(transcript, self._rounds(cell, variant))
            pairs = _first(self.views(cell, variant, transcript), missing)
            first = len(claims)
            rngs = [torch_rng(self.seed, cell.id, variant, first + i) for i in range(len(pairs))]
            claims += self._claims(attack, transcript, [view for view, _ in pairs], rngs)
            truths += [truth for _, truth in pairs]
        spare = self._null_claims(cell, attack, variant) if lacks_null(truths) else []
        rng = torch_rng(self.seed, cell.id, variant, "scoring")
        every = [*claims, *spare]
        if all(isinstance(c, AttributeGuess) for c in every):
            guesses = [c for c in every if isinstance(c, AttributeGuess)]
            evidence = score_attributes(guesses, truths, self.background, rng)
            return Attempt(evidence=(evidence,), claims=tuple(claims))
        found = [c for c in every if isinstance(c, Reconstruction)]
        if len(found) != len(every):
            raise SeepageError(
                f"{cell.attack.name} returned claims of another kind than its card's"
            )
        evidence = score_reconstructions(found, truths, self.background, rng)
        evidence = replace(evidence, details={**evidence.details, **details})
        return Attempt(
            evidence=(evidence,),
            claims=tuple(claims),
            recovered=recovered(found[: len(truths)], truths),
        )

    def transcript(self, cell: Cell, attack: Attack, variant: str, replica: int = 0) -> Transcript:
        """Return a federation, in which an active attack has made its moves."""
        transcript = self.federations.transcript(variant, replica)
        if not isinstance(attack, ActiveAttack):
            return transcript
        return with_moves(
            transcript,
            cell.observer,
            self._rounds(cell, variant),
            attack,
            lambda number: torch_rng(self.seed, cell.id, variant, replica, "move", number),
        )

    def views(
        self, cell: Cell, variant: str, transcript: Transcript
    ) -> list[tuple[View, BatchTruth]]:
        """Return the views of batches at the cell's moment, each with its truth."""
        kind = self.kind(cell, variant)
        return batch_views(kind, transcript, cell.observer, self._rounds(cell, variant))

    def _claims(
        self,
        attack: Attack,
        transcript: Transcript,
        views: Sequence[View],
        rngs: Sequence[torch.Generator],
    ) -> list[Claim]:
        """Attack the views; of a round that the clients aborted there is nothing to claim."""
        aborted = {n: r.aborted for n, r in transcript.rounds.items() if r.aborted}
        if not aborted or not all(isinstance(view, AggregateView) for view in views):
            return attack_all(attack, views, rngs)
        nothing = torch.empty(0, *transcript.task.job_facts().input_shape)
        reason = next(iter(aborted.values()))
        return [Reconstruction(inputs=nothing, explanation=reason) for _ in views]

    def _null_claims(self, cell: Cell, attack: Attack, variant: str) -> list[Claim]:
        """Return claims on a job trained without any of the truth's records."""
        transcript = self.transcript(cell, attack, f"null-{variant}")
        views = [view for view, _ in self.views(cell, variant, transcript)[:NULLS]]
        rngs = [torch_rng(self.seed, cell.id, "null") for _ in views]
        return self._claims(attack, transcript, views, rngs)

    def _rounds(self, cell: Cell, variant: str) -> range:
        rounds = 1 if variant == "planted-batch" else self.federations.rounds(variant)
        width = min(self.federations.width, rounds)
        return window(cell.moment, rounds, width)

    def _members(self, cell: Cell, attack: Attack, variant: str) -> Attempt:
        """Attack the membership question, and the same question on a null view."""
        if isinstance(attack, ActiveAttack):
            return self._targets(cell, attack, variant)
        scores: list[np.ndarray] = []
        nulls: list[np.ndarray] = []
        member: list[np.ndarray] = []
        rng = torch_rng(self.seed, cell.task, variant, "candidates")
        kind = self.kind(cell, variant)
        views = membership_views(kind, self.federations, variant, cell.observer, rng)
        for i, (view, null, truth) in enumerate(views):
            for name, seen, into in (("view", view, scores), ("null", null, nulls)):
                claim = attack(seen, torch_rng(self.seed, cell.id, variant, name, i))
                if not isinstance(claim, MembershipScores) or len(claim.scores) != len(
                    truth.member
                ):
                    raise SeepageError(f"{cell.attack.name} gave no score per candidate")
                into.append(claim.scores.double().numpy())
            member.append(truth.member.numpy())
        joined = (np.concatenate(part) for part in (scores, nulls, member))
        left_out = usable(self.federations.transcript(variant).task).left_out
        return Attempt(evidence=membership_evidence(*joined, left_out=left_out))

    def _targets(self, cell: Cell, attack: ActiveAttack, variant: str) -> Attempt:
        """Let the server move about one record at a time, in the job and in its null."""
        kind = self.kind(cell, variant)
        found = target_answers(
            cell, attack, self.federations, kind=kind, variant=variant, seed=self.seed
        )
        evidence = membership_evidence(found.scores, found.null, found.member)
        details = [{**e.details, **found.details} for e in evidence]
        told = zip(evidence, details, strict=True)
        return Attempt(evidence=tuple(replace(e, details=d) for e, d in told))

    def _clients(self, cell: Cell, attack: Attack, variant: str) -> Attempt:
        """Attack the question which clients took part, and its null."""
        rng = torch_rng(self.seed, cell.task, variant, "clients")
        kind = self.kind(cell, variant)
        asked = client_questions(kind, self.federations, variant, cell.observer, rng)
        return Attempt(
            evidence=client_evidence(cell, attack, asked, seed=self.seed, variant=variant)
        )

    def _column(self, cell: Cell, attack: Attack, variant: str) -> Attempt:
        """Attack the question for a column of the clients' records, and its null."""
        rng = torch_rng(self.seed, cell.task, variant, "column")
        asked = column_views(self.kind(cell, variant), self.federations, variant, cell, rng)
        evidence = column_evidence(cell, attack, asked, seed=self.seed, variant=variant)
        return Attempt(evidence=(evidence,))

    def _sources(self, cell: Cell, attack: Attack, variant: str) -> Attempt:
        """Attack the question which client holds each record, and its null."""
        rng = torch_rng(self.seed, cell.task, variant, "sources")
        kind = self.kind(cell, variant)
        asked = linkage_views(kind, self.federations, variant, cell.observer, rng)
        evidence = linkage_evidence(cell, attack, asked, seed=self.seed, variant=variant)
        return Attempt(evidence=(evidence,))


def _first(pairs: list[tuple[View, BatchTruth]], units: int) -> list[tuple[View, BatchTruth]]:
    """Return the pairs up to the one that completes `units` draws with records in them."""
    kept: list[tuple[View, BatchTruth]] = []
    for view, truth in pairs:
        if units <= 0:
            break
        kept.append((view, truth))
        units -= bool(len(truth.rows))
    return kept
