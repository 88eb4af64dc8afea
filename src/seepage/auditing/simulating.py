"""Lends an attacker the means to train federations as the job's was: shadows.

What it closes over is public: the model's architecture, the loss, how clients train, how many
records each holds, and the defenses (Kerckhoffs). Neither the job's seed nor its data enter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import torch

from ..attacks.memory import Memory, content
from ..core.seeds import derive_seed, torch_rng
from ..core.task import Records
from ..core.threat import Capability
from ..core.views import Simulated, Simulation, View
from ..fl.access import capabilities
from ..fl.lockstep import Trained
from ..fl.many import Deals, train_many
from ..fl.shelf import Shelf
from ..fl.state import load_state

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from ..core.views import AuxiliaryData
    from ..fl.transcript import Transcript

V = TypeVar("V", bound=View)


@dataclass(frozen=True, kw_only=True, slots=True)
class Workshop:
    """Where shadow federations are made.

    Fields
    ------
    folder : keeps finished ones, so that a killed run goes on with them (None: in memory alone)
    on_trained : told the number of federations of a set that are done, and of all
    """

    folder: Path | None = None
    on_trained: Callable[[int, int], None] | None = None


def with_simulation(view: V, transcript: Transcript, workshop: Workshop | None = None) -> V:
    """Return the view with a Simulation of the transcript's job, where its observer has one."""
    if Capability.CAN_SIMULATE not in capabilities(view.observer, transcript.defenses):
        return view
    return replace(view, facts=(*view.facts, simulation(transcript, workshop or Workshop())))


def simulation(transcript: Transcript, workshop: Workshop) -> Simulation:
    """Return the means to train federations as this one was, on other records."""
    task, defenses = transcript.task, transcript.defenses
    sizes = [len(client.train) for client in task.clients]

    def train(
        pool: AuxiliaryData, parts: Sequence[Tensor], rounds: Sequence[int], seed: int
    ) -> list[Simulated]:
        """Train a federation on each of `parts`, dealt out to clients as large as the job's."""
        deals = Deals(
            pool=Records(
                inputs=pool.inputs, targets=pool.targets, rows=torch.arange(len(pool.targets))
            ),
            parts=[dealt(part, sizes, torch_rng(seed, "deal", k)) for k, part in enumerate(parts)],
            seeds=[derive_seed(seed, "shadow", k) for k in range(len(parts))],
        )
        cards = [(d.card.name, sorted(d.card.settings.items())) for d in defenses]
        about = task.name, sizes, task.training, cards, rounds, seed
        key = content(about, [pool.inputs, pool.targets, *parts])
        found = _MEMORY.recall(
            (task, key),
            lambda: train_many(
                task,
                deals,
                defenses=defenses,
                keep=rounds,
                on_trained=workshop.on_trained,
                shelf=Shelf(workshop.folder, key) if workshop.folder else None,
            ),
        )
        return [_shown(transcript, trained, rounds) for trained in found]

    return Simulation(records=sum(sizes), train=train)


def dealt(part: Tensor, sizes: Sequence[int], rng: torch.Generator) -> list[Tensor]:
    """Deal the indices `[n]` out at random to clients, in proportion to `sizes`; one at least.

    Raises `ValueError` where there are fewer indices than clients.
    """
    if len(part) < len(sizes):
        raise ValueError(f"{len(part)} records can't be dealt out to {len(sizes)} clients")
    share = torch.tensor(sizes, dtype=torch.float64) * len(part) / sum(sizes)
    counts = share.floor().long().clamp_min(1)
    while int(counts.sum()) < len(part):
        counts[(share - counts).argmax()] += 1
    while int(counts.sum()) > len(part):
        counts[counts.argmax()] -= 1
    order = part[torch.randperm(len(part), generator=rng)]
    return list(order.split(counts.tolist()))


def _shown(transcript: Transcript, trained: Trained, rounds: Sequence[int]) -> Simulated:
    model = deepcopy(transcript.model)
    load_state(model, trained.last)
    return Simulated(model=model.eval(), states=tuple(trained.states[n] for n in rounds))


def _tensors(found: list[Trained]) -> list[Tensor]:
    states = [state for t in found for state in (t.last, *t.states.values())]
    return [value for state in states for value in state.values()]


_MEMORY = Memory(_tensors, most_bytes=2**29)
