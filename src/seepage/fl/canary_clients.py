"""Canary clients: what an auditor sends in a job to test a guarantee of whole clients.

Each canary client sends one random direction in every round, of a length that clipping leaves
alone, so that nothing else in the job points its way (Andrew, Kairouz, Oh, Oprea, McMahan &
Suriyakumar 2023, "One-shot Empirical Privacy Estimation for Federated Learning", arXiv
2302.03098, algorithm 1). By the toss of a coin it sends nothing, or the opposite, instead; what
an observer saw, projected on the direction, tells which.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from ..core.errors import UsageError
from ..core.task import ClientData
from ..core.threat import Capability, Observer
from .access import capabilities
from .state import shared_state

if TYPE_CHECKING:
    from torch import Tensor

    from ..core.task import Task
    from ..core.views import Update
    from .transcript import Transcript


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CanaryClients:
    """Planted clients, and the coins.

    Fields
    ------
    first : number of the first of them; the others follow
    names : of the parameters that a direction goes through
    directions : unit vectors over these, `[k, d]`
    inside : `[k]` bool: which send their direction
    sends : by client, what it sends in every round
    """

    first: int
    names: tuple[str, ...]
    directions: Tensor
    inside: Tensor
    sends: Mapping[int, Update]

    def flat(self, update: Update) -> Tensor:
        """Return what an update holds of the parameters, `[d]`."""
        return torch.cat([update[name].detach().flatten() for name in self.names])


def plant_clients(
    task: Task, count: int, rng: torch.Generator, *, length: float, opposite: bool
) -> tuple[Task, CanaryClients]:
    """Return the job with `count` canary clients, and who they are.

    They send an update of L2 norm `length` where the coin says so, else its `opposite` (what
    replacing a client's data allows) or zeros (what leaving it out allows). They count as
    clients that hold as many records as the job's. Raises `UsageError` for fewer than one.
    """
    if count < 1:
        raise UsageError(f"canaries: {count} canary clients test nothing; use 1 or more")
    model = task.build(rng)
    names = tuple(n for n, p in model.named_parameters() if p.requires_grad)
    state = shared_state(model)
    size = sum(state[n].numel() for n in names)
    directions = torch.randn(count, size, generator=rng)
    directions /= directions.norm(dim=1, keepdim=True)
    inside = torch.rand(count, generator=rng) < 0.5
    first = len(task.clients)
    silent = -length if opposite else 0.0
    sends = {
        first + i: _update(state, names, directions[i] * (length if inside[i] else silent))
        for i in range(count)
    }
    stand_ins = [
        ClientData(name=f"canary {i}", train=held.train, holdout=held.train.take(_none()))
        for i in range(count)
        for held in [task.clients[i % first]]
    ]
    training = task.training
    if training.cohort:
        share = training.cohort / first
        training = replace(training, cohort=max(1, round(share * (first + count))))
    planted = replace(task, clients=(*task.clients, *stand_ins), training=training)
    return planted, CanaryClients(
        first=first, names=names, directions=directions, inside=inside, sends=sends
    )


def projections(transcript: Transcript, observer: Observer, canaries: CanaryClients) -> Tensor:
    """Return how far all that an observer saw goes along each canary's direction, `[k]`.

    That is its own updates, else the aggregates, else the global models, whichever it sees
    first. Raises `UsageError` for an observer that sees none of them.
    """
    seen = capabilities(observer, transcript.defenses)
    rounds = transcript.rounds.values()
    if Capability.SEES_CLIENT_UPDATES in seen:
        total = torch.zeros(len(canaries.directions))
        for record in rounds:
            for i, direction in enumerate(canaries.directions):
                if (sent := record.released.get(canaries.first + i)) is not None:
                    total[i] += direction @ canaries.flat(sent)
        return total
    if Capability.SEES_AGGREGATES in seen:
        aggregates = [canaries.flat(r.aggregate) for r in rounds if r.aggregate]
        return canaries.directions @ torch.stack(aggregates).sum(0)
    if Capability.SEES_GLOBAL_MODELS in seen:
        states = [canaries.flat(transcript.states[n]) for n in sorted(transcript.states)]
        last = canaries.flat(shared_state(transcript.model))
        return canaries.directions @ (last - states[0])
    raise UsageError(f"canaries: {observer.value} sees no update, aggregate or global model")


def _update(state: Update, names: tuple[str, ...], flat: Tensor) -> Update:
    parts = flat.split([state[n].numel() for n in names])
    own = dict(zip(names, parts, strict=True))
    return {
        name: own[name].view_as(value) if name in own else torch.zeros_like(value)
        for name, value in state.items()
    }


def _none() -> Tensor:
    return torch.empty(0, dtype=torch.int64)
