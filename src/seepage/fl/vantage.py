"""What all Views have in common: the model as the observer gets it, and the facts it knows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import torch

from ..core.threat import Capability, Observer
from ..core.views import AuxiliaryData, BatchSize, Fact
from .access import capabilities
from .batches import expected_batch
from .state import load_state

if TYPE_CHECKING:
    from torch import nn

    from ..core.task import Task
    from ..core.views import Update
    from .transcript import Transcript


def sees(transcript: Transcript, observer: Observer, *needed: Capability) -> bool:
    """Return whether the observer has all the `needed` capabilities in this job."""
    return capabilities(observer, transcript.defenses).issuperset(needed)


def model_at(transcript: Transcript, state: Update, *, training: bool) -> nn.Module:
    """Return a detached copy of the job's model that stands at `state`."""
    model = deepcopy(transcript.model)
    load_state(model, state)
    return model.train(training)


def common(
    transcript: Transcript,
    observer: Observer,
    *,
    clients: Collection[int] | None = None,
    facts: Sequence[Fact] = (),
) -> dict[str, Any]:
    """Return the fields that every View has.

    `facts` gains the batch size (expected, over `clients`; None: all) and the auxiliary
    data where this observer has them.
    """
    task = transcript.task
    known = capabilities(observer, transcript.defenses)
    more: list[Fact] = []
    if Capability.KNOWS_BATCH_SIZE in known:
        chosen = range(len(task.clients)) if clients is None else clients
        more.append(_batch_size(task, chosen))
    if Capability.HOLDS_AUXILIARY_DATA in known:
        more.extend(_auxiliary(task))
    return {
        "observer": observer,
        "job": task.job_facts(),
        "loss": task.loss,
        "defenses": tuple(d.card for d in transcript.defenses),
        "facts": (*facts, *more),
    }


def _batch_size(task: Task, clients: Collection[int]) -> BatchSize:
    """Return the expected batch size of these clients (their mean where they differ)."""
    size = task.training.batch_size
    sizes = [expected_batch(len(task.clients[c].train), size) for c in clients]
    return BatchSize(round(sum(sizes) / len(sizes)))


def _auxiliary(task: Task) -> list[Fact]:
    """Return the auxiliary records that no client holds, as a fact, where there are any."""
    held = torch.cat([torch.cat([c.train.rows, c.holdout.rows]) for c in task.clients])
    free = torch.nonzero(~torch.isin(task.auxiliary.rows, held)).flatten()
    if not len(free):
        return []
    data = task.auxiliary.take(free)
    return [AuxiliaryData(inputs=data.inputs, targets=data.targets)]
