"""What all Views have in common: the model as the observer gets it, and the facts it knows."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import torch

from ..core.errors import UsageError
from ..core.threat import Capability, Observer
from ..core.views import AuxiliaryData, BatchSize, Candidates, Fact, SeenAggregate
from .access import capabilities
from .batches import expected_batch
from .state import load_state

if TYPE_CHECKING:
    from torch import nn

    from ..core.task import Records, Task
    from ..core.views import Update
    from .transcript import RoundRecord, Transcript


def sees(transcript: Transcript, observer: Observer, *needed: Capability) -> bool:
    """Return whether the observer has all the `needed` capabilities in this job."""
    return capabilities(observer, transcript.defenses).issuperset(needed)


def recorded(transcript: Transcript, rounds: Iterable[int]) -> list[RoundRecord]:
    """Return the records of these rounds; one that was not kept raises `UsageError`."""
    chosen = list(rounds)
    if missing := [number for number in chosen if number not in transcript.rounds]:
        raise UsageError(
            f"round {missing[0]} was not recorded: name it in `record` when training "
            f"(recorded: {', '.join(map(str, sorted(transcript.rounds))) or 'none'})"
        )
    return [transcript.rounds[number] for number in chosen]


def model_at(transcript: Transcript, state: Update, *, training: bool) -> nn.Module:
    """Return a detached copy of the job's model that stands at `state`."""
    model = deepcopy(transcript.model)
    load_state(model, state)
    return model.train(training)


def seen_aggregate(record: RoundRecord) -> SeenAggregate:
    """Return what a round shows where single updates are hidden: their mean, and whose it is."""
    return SeenAggregate(
        round=record.round,
        state=record.state,
        aggregate=record.aggregate,
        cohort=tuple(sorted(record.batches)),
    )


def common(
    transcript: Transcript,
    observer: Observer,
    *,
    clients: Collection[int] | None = None,
    asked: Records | None = None,
) -> dict[str, Any]:
    """Return the fields that every View has.

    Their facts are the records `asked` about (None: the View is of a batch), the batch
    size (expected, over `clients`; None: all) and auxiliary data, each only where this
    observer knows it.
    """
    task = transcript.task
    known = capabilities(observer, transcript.defenses)
    facts: list[Fact] = []
    if asked is not None:
        facts.append(Candidates(inputs=asked.inputs, targets=asked.targets))
    if Capability.KNOWS_BATCH_SIZE in known:
        chosen = range(len(task.clients)) if clients is None else clients
        facts.append(_batch_size(task, chosen))
    if Capability.HOLDS_AUXILIARY_DATA in known:
        facts.extend(_auxiliary(task, asked))
    return {
        "observer": observer,
        "job": task.job_facts(),
        "loss": task.loss,
        "defenses": tuple(d.card for d in transcript.defenses),
        "facts": tuple(facts),
    }


def _batch_size(task: Task, clients: Collection[int]) -> BatchSize:
    """Return the expected batch size of these clients (their mean where they differ)."""
    size = task.training.batch_size
    sizes = [expected_batch(len(task.clients[c].train), size) for c in clients]
    return BatchSize(round(sum(sizes) / len(sizes)))


def _auxiliary(task: Task, asked: Records | None) -> list[Fact]:
    """Return, as a fact, the auxiliary records that are no targets, where there are any.

    Targets are the records asked about, or all that clients hold. (A null job trains on
    auxiliary records; its attacker has the same ones as that of the job itself.)
    """
    held = [c.train.rows for c in task.clients] + [c.holdout.rows for c in task.clients]
    targets = torch.cat(held) if asked is None else asked.rows
    free = torch.nonzero(~torch.isin(task.auxiliary.rows, targets)).flatten()
    if not len(free):
        return []
    data = task.auxiliary.take(free)
    return [AuxiliaryData(inputs=data.inputs, targets=data.targets)]
