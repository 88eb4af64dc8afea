"""Canaries: records that an auditor plants in clients' data by the toss of a coin.

Each canary is trained on with probability 1/2, on its own, so that one run is as many
experiments as it has canaries (Steinke, Nasr & Jagielski 2023, arXiv 2305.08846, algorithm 1).
A canary is an auxiliary record with a wrong label, or one that is crafted to be seen: its
gradient at the fresh model is far from those of auxiliary records and as long as `max_norm`
(CANIFE: Maddock, Sablayrolles & Stock 2023, arXiv 2210.02912, eq. 1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch.func import functional_call, grad, vmap

from ..core.errors import UsageError
from ..core.names import nearest
from ..core.task import ClientData, Records

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..core.task import Task

RECORD_KINDS = ("mislabelled", "crafted")

CRAFTING_STEPS = 40
_TOGETHER = 32
_AGAINST = 256


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Canaries:
    """Planted records, and the coins.

    Fields
    ------
    records : by client, `[n]`; their rows are those of the auxiliary records they come from
    inside : by client, `[n]` bool: whether the client trains on them
    """

    records: Mapping[int, Records]
    inside: Mapping[int, Tensor]

    @property
    def count(self) -> int:
        """The number of canaries of all clients."""
        return sum(map(len, self.records.values()))


def plant(
    task: Task, count: int, rng: torch.Generator, *, kind: str = "mislabelled", max_norm: float = 1
) -> tuple[Task, Canaries]:
    """Return the job with some of `count` canaries among its clients' records, and all of them.

    The auxiliary records that became canaries, in or not, are auxiliary no more. Raises
    `UsageError` for an unknown kind, a job without classes, or too few auxiliary records.
    """
    if kind not in RECORD_KINDS:
        raise UsageError(f"canaries: kind is {kind!r}{nearest(kind, RECORD_KINDS)}")
    if task.classes < 2:
        raise UsageError("canaries are mislabelled: the job needs labels of two classes or more")
    clients, free = len(task.clients), len(task.auxiliary)
    if not clients <= count <= free - clients:
        raise UsageError(
            f"canaries: {count} can't be made of {free} auxiliary records for {clients} clients; "
            f"use {clients} to {free - clients}, or hold out more records"
        )
    order = torch.randperm(free, generator=rng)
    chosen, kept = task.auxiliary.take(order[:count]), task.auxiliary.take(order[count:].sort()[0])
    wrong = torch.randint(1, task.classes, (count,), generator=rng)
    made = replace(chosen, targets=(chosen.targets + wrong) % task.classes)
    if kind == "crafted":
        made = crafted(task, made, kept, rng, max_norm=max_norm)
    tossed = torch.rand(count, generator=rng) < 0.5
    parts = torch.arange(count).tensor_split(clients)
    canaries = Canaries(
        records={c: made.take(part) for c, part in enumerate(parts)},
        inside={c: tossed[part] for c, part in enumerate(parts)},
    )
    return replace(task, clients=_with(task, canaries), auxiliary=kept), canaries


def crafted(
    task: Task, records: Records, others: Records, rng: torch.Generator, *, max_norm: float
) -> Records:
    """Return the records, their inputs moved so that their gradients stand out.

    The loss of a canary z at the fresh model is the mean over `others` of <g(z), g_i>^2 plus
    max(max_norm - |g(z)|, 0)^2, with g_i scaled to `max_norm`.
    """
    model = task.build(rng).eval()
    state = {name: p.detach() for name, p in model.named_parameters()}
    slope = _slope(task, model)
    picked = torch.randperm(len(others), generator=rng)[:_AGAINST]
    with torch.no_grad():
        against = vmap(slope, in_dims=(None, 0, 0))(
            state, others.inputs[picked], others.targets[picked]
        )
    against *= (max_norm / against.norm(dim=1, keepdim=True).clamp_min(1e-12)).clamp_max(1)

    def seen(inputs: Tensor, target: Tensor) -> Tensor:
        """Return how little a canary stands out."""
        own = slope(state, inputs, target)
        short = (max_norm - own.norm()).clamp_min(0)
        return (against @ own).square().mean() + short.square()

    down = vmap(grad(seen))
    moved = [
        _descended(down, inputs, targets, task.value_range)
        for inputs, targets in zip(
            records.inputs.split(_TOGETHER), records.targets.split(_TOGETHER), strict=True
        )
    ]
    return replace(records, inputs=torch.cat(moved))


def _descended(
    down: Callable[[Tensor, Tensor], Tensor],
    inputs: Tensor,
    targets: Tensor,
    value_range: tuple[float, float] | None,
) -> Tensor:
    inputs = inputs.clone()
    optimizer = torch.optim.Adam([inputs], lr=0.05)
    for _ in range(CRAFTING_STEPS):
        inputs.grad = down(inputs.detach(), targets)
        optimizer.step()
        if value_range:
            inputs.clamp_(*value_range)
    return inputs


def _slope(
    task: Task, model: nn.Module
) -> Callable[[Mapping[str, Tensor], Tensor, Tensor], Tensor]:
    def loss(state: Mapping[str, Tensor], inputs: Tensor, target: Tensor) -> Tensor:
        """Return the loss of one record."""
        return task.loss(functional_call(model, dict(state), (inputs[None],)), target[None])

    def slope(state: Mapping[str, Tensor], inputs: Tensor, target: Tensor) -> Tensor:
        """Return its gradient, flat."""
        return torch.cat([g.flatten() for g in grad(loss)(state, inputs, target).values()])

    return slope


def _with(task: Task, canaries: Canaries) -> tuple[ClientData, ...]:
    clients: list[ClientData] = []
    for c, client in enumerate(task.clients):
        planted = canaries.records[c].take(torch.nonzero(canaries.inside[c]).flatten())
        clients.append(replace(client, train=Records.joined([client.train, planted])))
    return tuple(clients)
