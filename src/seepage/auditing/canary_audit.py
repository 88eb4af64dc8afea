"""Tests a claimed epsilon in one run: plants canaries, asks an attack which were trained on.

Canaries are records, or whole clients that send one direction, as the claim is about either.
Scores of canaries that a fair coin put in or left out give a lower bound on epsilon
(`accounting.lower_bounds`). Above the claim, it refutes it: the defense is not what its record
says. Below it, it proves nothing; what it could have shown stands beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import torch

from ..accounting import epsilon_lower_bound
from ..core.claims import MembershipScores
from ..core.errors import SeepageError, UsageError
from ..core.guarantees import GuaranteeTest
from ..core.registry import card
from ..core.seeds import torch_rng
from ..core.task import Records
from ..core.threat import Observer
from ..fl import views as cut
from ..fl.canaries import Canaries, plant
from ..fl.canary_clients import plant_clients, projections
from ..fl.engine import train
from ..fl.membership_views import MOST_ROUNDS, evenly_spaced
from .bounds import covers
from .cells import view_kind
from .exposure import exposure
from .simulating import with_simulation

if TYPE_CHECKING:
    from torch import Tensor

    from ..accounting.lower_bounds.bound import Method
    from ..core.attack import Attack
    from ..core.plan import CanaryPlan
    from ..core.privacy import EpsilonRecord
    from ..core.views import Update, View
    from ..fl.transcript import Transcript
    from .cells import Job

MOST_BYTES = 2**30
"""Of updates that are kept: beyond it, rounds are seen evenly spaced."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CanaryAudit:
    """One job with canaries among its records, to be trained and attacked once."""

    job: Job
    plan: CanaryPlan
    seed: int
    delta: float

    def run(self) -> tuple[GuaranteeTest, ...]:
        """Return the test of each guarantee of the canaries' unit that covers the plan's observer.

        Raises `UsageError` where the plan's attack gives no scores of this job to its observer,
        or the canaries can't be planted.
        """
        of_clients = self.plan.kind == "direction"
        planted = self._clients() if of_clients else self._records()
        if planted is None:
            return ()
        inside = planted.inside
        scores = planted.scores()
        bound = epsilon_lower_bound(
            scores[inside].tolist(),
            scores[~inside].tolist(),
            delta=self.delta,
            confidence=self.plan.confidence,
            method=cast("Method", self.plan.method),
        )
        return tuple(
            GuaranteeTest(
                task=self.job.task.name,
                mechanism=claim.mechanism,
                unit=claim.unit,
                claimed=claim.total_epsilon,
                delta=self.delta,
                epsilon=bound.epsilon,
                power=bound.power_at(claim.total_epsilon),
                most=bound.power_at(float("inf")),
                confidence=bound.confidence,
                method=bound.method,
                attack="projection" if of_clients else self.plan.attack,
                observer=self.plan.observer,
                kind=self.plan.kind,
                canaries=len(inside),
                planted=int(inside.sum()),
                note=str(bound),
            )
            for claim in planted.claims
        )

    def _claims(self, job: Job, unit: str) -> list[EpsilonRecord]:
        observer = Observer(self.plan.observer)
        return [
            record
            for defense in job.defenses
            for record in defense.privacy(exposure(job, self.delta))
            if record.unit == unit and covers((record,), observer)
        ]

    def _records(self) -> _Planted | None:
        """Return canary records, where something is claimed of records."""
        rng = torch_rng(self.seed, "canaries", self.job.task.name)
        task, canaries = plant(
            self.job.task, self.plan.count, rng, kind=self.plan.kind, max_norm=self.plan.max_norm
        )
        job = replace(self.job, task=task)
        claims = self._claims(job, "record")
        inside = torch.cat([canaries.inside[c] for c in sorted(canaries.inside)])
        if not claims:
            return None
        return _Planted(claims, inside, lambda: self._scores(job, canaries))

    def _clients(self) -> _Planted | None:
        """Return canary clients, where something is claimed of clients."""
        claims = self._claims(self.job, "client")
        if not claims:
            return None
        task, canaries = plant_clients(
            self.job.task,
            self.plan.count,
            torch_rng(self.seed, "canaries", self.job.task.name),
            length=self.plan.max_norm,
            opposite=all(claim.adjacency == "replace" for claim in claims),
        )
        job = replace(self.job, task=task)

        def scores() -> Tensor:
            """Train the job with the canaries in it, and look along their directions."""
            transcript = self._trained(job, canaries.sends)
            return projections(transcript, Observer(self.plan.observer), canaries)

        return _Planted(claims, canaries.inside, scores)

    def _trained(self, job: Job, sends: Mapping[int, Update] | None = None) -> Transcript:
        return train(
            job.task,
            defenses=job.defenses,
            seed=self.seed,
            replica=CANARY_REPLICA,
            record=_kept(job),
            sends=sends,
        )

    def _scores(self, job: Job, canaries: Canaries) -> Tensor:
        """Return a score for each canary record, by client, `[count]`."""
        observer, found = Observer(self.plan.observer), card("attacks", self.plan.attack)
        kind = view_kind(found, observer, job.defenses) if found.claims == "membership" else None
        if kind is None:
            raise UsageError(
                f"canaries: {found.name} gives {observer.value} no membership scores of this job"
            )
        transcript = self._trained(job)
        attack: Attack = found.build({})
        asked = {c: (canaries.records[c], canaries.inside[c]) for c in canaries.records}
        total: dict[int, Tensor] = {}
        for number, (client, view) in enumerate(_views(kind, transcript, observer, asked)):
            rng = torch_rng(self.seed, "canaries", found.name, number)
            claim = attack(view, rng)
            if not isinstance(claim, MembershipScores):
                raise SeepageError(f"{found.name} gave no score per canary")
            # Log-likelihood ratios of separate rounds add up, and other scores may.
            own = claim.scores.double()
            if kind == "history":  # mates come after the canaries
                own = own[: len(asked[client][0])]
            total[client] = total.get(client, torch.tensor(0.0)) + own
        return torch.cat([total[c] for c in sorted(total)])


@dataclass(frozen=True, slots=True, eq=False)
class _Planted:
    """Claims to test, the coins `[n]` bool, and what gives a score for each canary `[n]`."""

    claims: Sequence[EpsilonRecord]
    inside: Tensor
    scores: Callable[[], Tensor]


CANARY_REPLICA = 1_000
"""The planted job draws its own batches and noise: no other variant's."""


def _kept(job: Job) -> list[int]:
    task = job.task
    rounds = task.training.rounds
    size = sum(p.numel() for p in task.build(torch_rng(0, "parameters")).parameters())
    most = max(MOST_ROUNDS, MOST_BYTES // (4 * size * task.cohort))
    return evenly_spaced(range(rounds), min(rounds, most))


def _views(
    kind: str,
    transcript: Transcript,
    observer: Observer,
    asked: dict[int, tuple[Records, Tensor]],
) -> Iterator[tuple[int, View]]:
    """Yield views of canaries, each with its client; pooled views count for client 0."""
    if kind == "history":
        # Whom differential privacy hides one record from knows all others.
        with_mates = {c: _with_mates(*asked[c], transcript.task.clients[c].train) for c in asked}
        numbers = sorted(transcript.rounds)
        for first in range(0, len(numbers), MOST_ROUNDS):
            rounds = {n: transcript.rounds[n] for n in numbers[first : first + MOST_ROUNDS]}
            part = replace(transcript, rounds=rounds)
            found = cut.history_views(part, observer, candidates=with_mates)
            yield from ((view.client, view) for view, _ in found)
        return
    builders: dict[str, Any] = {
        "global-models": cut.global_models_view,
        "model": cut.model_view,
        "outputs": cut.outputs_view,
    }
    records, member = _pooled(asked)
    for view, _ in builders[kind](transcript, observer, records, member):
        yield 0, with_simulation(view, transcript)


def _with_mates(canaries: Records, inside: Tensor, held: Records) -> tuple[Records, Tensor]:
    """Return the canaries, and after them the client's own records."""
    own = held.take(torch.arange(len(held) - int(inside.sum())))
    return Records.joined([canaries, own]), torch.cat([inside, torch.ones(len(own)).bool()])


def _pooled(asked: dict[int, tuple[Records, Tensor]]) -> tuple[Records, Tensor]:
    parts = [asked[c] for c in sorted(asked)]
    return Records.joined(r for r, _ in parts), torch.cat([member for _, member in parts])
