"""How often and how finely a job touches its records: what its epsilon depends on."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from ..core.privacy import Exposure
from ..core.seeds import torch_rng

if TYPE_CHECKING:
    from ..core.task import Task
    from .cells import Job


def exposure(job: Job, delta: float) -> Exposure:
    """Return how often and how finely the job touches its records."""
    training, task = job.task.training, job.task
    examples = min(len(c.train) for c in task.clients)
    return Exposure(
        rounds=training.rounds,
        local_steps=training.local_steps,
        batch_size=min(training.batch_size or examples, examples),
        examples=examples,
        clients=len(task.clients),
        cohort=task.cohort,
        delta=delta,
        parameters=_parameters(task),
    )


@cache
def _parameters(task: Task) -> Mapping[str, int]:
    """Return the number of values of each trainable parameter, by name."""
    named = task.build(torch_rng(0, "parameters")).named_parameters()
    return {name: p.numel() for name, p in named if p.requires_grad}
