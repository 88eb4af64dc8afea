"""Trains what the cells of one job need: the job, its twin, its null jobs, its controls.

A *variant* is `defended` (the job as planned), `undefended` (its twin: same data, model,
seed and rounds, defenses off), `planted-batch` (batch 1 at the first round) or
`planted-overfit`; with `null-` before it, the same trained without any client's records.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from ..core.seeds import torch_rng
from ..core.task import ClientData, Task
from ..fl.engine import train
from ..fl.transcript import Transcript
from ..fl.utility import utility
from .cells import Job
from .simulating import Workshop
from .splits import split_task

if TYPE_CHECKING:
    from torch import Tensor

Trained = Callable[[str, int, Transcript], None]
"""Told of each variant and replica as soon as it is trained."""

HISTORY_ROUNDS = 10
OVERFIT_CLIENTS, OVERFIT_RECORDS = 4, 16


def window(moment: str, rounds: int, width: int) -> range:
    """Return `width` rounds at the start, middle or end of a job.

    >>> window("end", rounds=40, width=13)
    range(27, 40)
    """
    first = {"start": 0, "middle": (rounds - width) // 2, "end": rounds - width}[moment]
    return range(first, first + width)


class Federations:
    """The federations of one job, each trained once, when it is first needed."""

    def __init__(
        self,
        job: Job,
        *,
        seed: int,
        width: int,
        on_round: Callable[[int], None] | None = None,
        on_trained: Trained | None = None,
        workshop: Workshop | None = None,
    ) -> None:
        self.job, self.seed, self.width = job, seed, width
        self.on_round, self.on_trained = on_round, on_trained
        self.workshop = workshop or Workshop()
        self._trained: dict[tuple[str, int], Transcript] = {}
        self._rounds: dict[bool, int] = {}

    def transcript(self, variant: str, replica: int = 0) -> Transcript:
        """Return a variant's transcript; replicas differ in every random draw."""
        if not self.job.defenses:
            variant = variant.replace("undefended", "defended")
        key = (variant, replica)
        if key not in self._trained:
            self._trained[key] = self._train(variant, replica)
            if self.on_trained:
                self.on_trained(variant, replica, self._trained[key])
        return self._trained[key]

    def split(self, variant: str, present: Tensor, replica: int) -> Transcript:
        """Return a variant trained with others in the place of clients that are not `present`.

        `present` is `[clients]` bool. Of the rounds only the states are kept.
        """
        base = self.transcript(variant)
        key = (f"split-{variant}-{present.tolist()}", replica)
        if key not in self._trained:
            task = split_task(base.task, present, torch_rng(self.seed, "split", base.task.name))
            found = train(
                task,
                defenses=base.defenses,
                seed=self.seed,
                replica=replica,
                record=self.recorded(task, replica=0),
                on_round=self.on_round,
            )
            self._trained[key] = replace(found, rounds={})
        return self._trained[key]

    def _train(self, variant: str, replica: int) -> Transcript:
        defended = variant in {"defended", "null-defended"}
        if variant == "planted-overfit":
            return self._overfit(replica)
        task = self.job.task
        if variant.startswith("null-"):
            task = null_task(overfit_task(task) if "planted" in variant else task)
        if variant == "planted-batch":
            training = replace(task.training.stopped(1), batch_size=1, local_steps=1)
            task = replace(task, training=training)
        if task.training.patience:
            task = replace(task, training=task.training.stopped(self.rounds(variant)))
        return train(
            task,
            defenses=self.job.defenses if defended else (),
            seed=self.seed,
            replica=replica,
            record=self.recorded(task, replica),
            on_round=self.on_round,
        )

    def rounds(self, variant: str) -> int:
        """Return how many rounds the job, its twin or their null jobs train.

        Where training may stop early, the job and the twin each decide it in a run of their
        own that keeps nothing, so that replicas, null jobs and the rounds to record agree.
        """
        training = self.job.task.training
        if not training.patience:
            return training.rounds
        defended = bool(self.job.defenses) and "undefended" not in variant
        if defended not in self._rounds:
            defenses = self.job.defenses if defended else ()
            first = train(self.job.task, defenses=defenses, seed=self.seed)
            self._rounds[defended] = first.task.training.rounds
        return self._rounds[defended]

    def recorded(self, task: Task, replica: int) -> frozenset[int]:
        """Return the rounds of which everything is kept."""
        rounds = task.training.rounds
        width = min(self.width, rounds)
        kept = {r for moment in self.job.moments for r in window(moment, rounds, width)}
        if replica == 0:
            steps = min(HISTORY_ROUNDS, rounds)
            kept |= {round(i * (rounds - 1) / max(steps - 1, 1)) for i in range(steps)}
        return frozenset(kept)

    def _overfit(self, replica: int) -> Transcript:
        """Train on a handful of records a client, for longer until they are learned by heart."""
        task = overfit_task(self.job.task)
        for rounds in (40, 160, 640):
            task = replace(task, training=replace(task.training, rounds=rounds))
            transcript = train(
                task,
                seed=self.seed,
                replica=replica,
                record=self.recorded(task, replica=0),
                on_round=self.on_round,
            )
            if float(utility(transcript.model, task)["train"]) > 0.99:
                break
        return transcript


def null_task(task: Task) -> Task:
    """Return the job with every client's records replaced by auxiliary ones.

    What a membership attack scores on it, it scores without the truth's records.
    """
    parts = torch.arange(len(task.auxiliary)).tensor_split(len(task.clients))
    clients = tuple(
        replace(c, train=task.auxiliary.take(part))
        for c, part in zip(task.clients, parts, strict=True)
    )
    return replace(task, clients=clients)


def overfit_task(task: Task) -> Task:
    """Return the job with so few records a client that they are learned by heart.

    Their labels are shuffled, held-out ones among them: what the rest of the data tells of a
    label is no help then, so that a model that fits them remembers them.
    """
    rng = torch_rng(0, "shuffled labels", task.name)
    clients = tuple(
        _shuffled(
            replace(c, train=c.train.take(torch.arange(min(OVERFIT_RECORDS, len(c.train))))), rng
        )
        for c in task.clients[:OVERFIT_CLIENTS]
    )
    training = replace(task.training, batch_size=0, local_steps=5, cohort=0, patience=0)
    return replace(task, clients=clients, training=training)


def _shuffled(client: ClientData, rng: torch.Generator) -> ClientData:
    """Return the client with its records' labels dealt out anew among them."""
    n = len(client.train)
    labels = torch.cat([client.train.targets, client.holdout.targets])
    labels = labels[torch.randperm(len(labels), generator=rng)]
    return replace(
        client,
        train=replace(client.train, targets=labels[:n]),
        holdout=replace(client.holdout, targets=labels[n:]),
    )
