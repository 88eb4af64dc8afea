"""What a job's models are good for and what they cost to train, with and without defenses.

Attacks that need more draws than one training run gives train the job again, with every
random draw anew. Whatever was trained is measured and stored at once, so that a killed
audit, which does not train it again, ends with the same figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..core.task import Task
from ..fl.transcript import Transcript
from ..fl.utility import utility
from .attempts import MAX_REPLICAS
from .federations import Federations, Trained
from .store import Store

_KINDS = ("undefended", "defended")


def measurer(task: Task, store: Store) -> Trained:
    """Return what stores the utility and the traffic of every run of the job or its twin."""

    def measure(variant: str, replica: int, transcript: Transcript) -> None:
        """Store a run's figures; null jobs and planted controls are nobody's job."""
        if variant in _KINDS:
            store.write(
                "jobs",
                _name(task, variant, replica),
                {
                    "utility": utility(transcript.model, task),
                    "bytes_up": transcript.bytes_up,
                    "bytes_down": transcript.bytes_down,
                },
            )

    return measure


def job_facts(federations: Federations, store: Store) -> dict[str, Any]:
    """Return a job's `task`, `clients`, `utility` by kind, traffic; trains what no cell needed."""
    task, defended = federations.job.task, bool(federations.job.defenses)
    found = {kind: _runs(federations, store, kind if defended else "defended") for kind in _KINDS}
    return {
        "task": task.name,
        "clients": len(task.clients),
        "utility": {
            kind: over_runs([run["utility"] for run in runs]) for kind, runs in found.items()
        },
        "bytes_up": found["defended"][0]["bytes_up"],
        "bytes_down": found["defended"][0]["bytes_down"],
    }


def over_runs(utilities: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the utility of several training runs on the same records.

    Scores, losses and limits are means over `runs`: limits still count each record once, so
    several runs make them no narrower than one. `test_range` and `train_range` are the least
    and the greatest score, where there are several.
    """
    first = dict(utilities[0])
    for name, value in first.items():
        if not isinstance(value, str | int):
            mean = np.mean([run[name] for run in utilities], axis=0)
            first[name] = mean.tolist()
    if len(utilities) > 1:
        for side in ("test", "train"):
            if side in first:
                scores = [run[side] for run in utilities]
                first[f"{side}_range"] = [min(scores), max(scores)]
    return {**first, "runs": len(utilities)}


def _runs(federations: Federations, store: Store, variant: str) -> list[dict[str, Any]]:
    task = federations.job.task
    if store.read("jobs", _name(task, variant, 0)) is None:
        federations.transcript(variant)
    found = (store.read("jobs", _name(task, variant, r)) for r in range(MAX_REPLICAS))
    return [run for run in found if run is not None]


def _name(task: Task, variant: str, replica: int) -> str:
    return f"{task.name} {variant} {replica}"
