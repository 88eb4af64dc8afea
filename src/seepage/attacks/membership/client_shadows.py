"""Federations trained as the target's was, on the records of half of the candidate clients.

In pairs: one on a random half of the clients, one on the other. Missing records are auxiliary.
Which clients a shadow gets depends on nothing but the records, so that all questions about the
same clients share their shadows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ...core.errors import NotApplicableError
from ...core.views import AuxiliaryData, GlobalModelsView, Simulation
from ..memory import content
from .shadows import Shadows

if TYPE_CHECKING:
    from torch import Tensor

    from ...core.views import CandidateClients
    from .shadows import ShadowedView


def client_shadows(view: ShadowedView, asked: CandidateClients, count: int) -> Shadows:
    """Return `count` shadow federations, of which `inside` is by client, `[count, clients]`.

    Raises `NotApplicableError` where the observer can't simulate, or a client has no record.
    """
    simulation, known = view.fact(Simulation), view.fact(AuxiliaryData)
    if simulation is None:
        raise NotApplicableError("this observer can't train federations of its own")
    sizes = torch.bincount(asked.client)
    if int(sizes.min()) < 1:
        raise NotApplicableError(f"client {int(sizes.argmin())} has no record to ask about")
    inputs, targets = [asked.inputs], [asked.targets]
    if known is not None:
        inputs, targets = [*inputs, known.inputs], [*targets, known.targets]
    pool = AuxiliaryData(torch.cat(inputs), torch.cat(targets))
    key = content(("clients", count), [asked.inputs, asked.targets, asked.client])
    seed = int(key[:12], 16)
    rng = torch.Generator().manual_seed(seed)
    inside = halves(len(sizes), count, rng)
    extra = len(pool.targets) - len(asked.client)
    parts: list[Tensor] = []
    for clients in inside:
        own = clients[asked.client].nonzero().flatten()
        missing = max(simulation.records - len(own), 0)
        drawn = torch.randperm(extra, generator=rng)[:missing]
        parts.append(torch.cat([own, len(asked.client) + drawn]))
    if min(map(len, parts)) < view.job.clients:
        raise NotApplicableError("too few records to train shadow federations on")
    rounds = [number for number, _ in view.rounds] if isinstance(view, GlobalModelsView) else []
    found = simulation.train(pool, parts, rounds, seed)
    return Shadows(pool=pool, inside=inside, federations=found)


def halves(clients: int, count: int, rng: torch.Generator) -> Tensor:
    """Return which clients are in each shadow, `[count, clients]` bool; each in half of them.

    >>> halves(5, 4, torch.Generator().manual_seed(0)).sum(0)
    tensor([2, 2, 2, 2, 2])
    """
    inside = torch.zeros(count, clients, dtype=torch.bool)
    for first in range(0, count, 2):
        chosen = torch.randperm(clients, generator=rng)[: clients // 2]
        inside[first, chosen] = True
        if first + 1 < count:
            inside[first + 1] = ~inside[first]
    return inside
