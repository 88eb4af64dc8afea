"""Jobs of which some clients are out: others, whom nobody asks about, stand in their place.

A client that is out is replaced and not dropped, so that the number of clients, which everybody
knows, tells nothing. This is `replace` adjacency of a client's whole data, to the letter: each
client is in by a fair coin of its own, whatever the others do.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING

import torch

from ..core.errors import NotApplicableError

if TYPE_CHECKING:
    from torch import Tensor

    from ..core.task import Task

LEAST_CLIENTS = 4
QUESTIONS = 40
"""How often clients are in, over all splits of a job: so often at least, within `MOST` splits."""

MOST = 16


def splits(clients: int, rng: torch.Generator) -> list[Tensor]:
    """Return who is in, `[clients]` bool, split by split; a split and its opposite in turns.

    So each client is in as often as out. Raises `NotApplicableError` where there are fewer than
    four clients: the same few, asked about again and again, say nothing of a fifth.

    >>> first, opposite = splits(40, torch.Generator().manual_seed(0))
    >>> bool((first ^ opposite).all())
    True
    """
    if clients < LEAST_CLIENTS:
        raise NotApplicableError(
            f"withheld: whether a client took part is asked of {LEAST_CLIENTS} clients or more, "
            f"and the job has {clients}"
        )
    found: list[Tensor] = []
    for _ in range(min(ceil(QUESTIONS / clients), MOST // 2)):
        coins = torch.rand(clients, generator=rng) < 0.5
        found += [coins, ~coins]
    return found


def split_task(task: Task, present: Tensor, rng: torch.Generator) -> Task:
    """Return the job with auxiliary records in the place of clients that are not `present`.

    Half of the auxiliary records are dealt out for that, by `rng` and whoever is present, at most
    as many as the client holds; the attacker keeps the other half. Raises `NotApplicableError`
    where that leaves a client without any.
    """
    count, clients = len(task.auxiliary), len(task.clients)
    if count < 2 * clients:
        raise NotApplicableError(
            f"{task.name}: withheld: {count} auxiliary records can't stand in for {clients} "
            f"clients, which takes {2 * clients}"
        )
    order = torch.randperm(count, generator=rng)
    parts = order[: count // 2].tensor_split(clients)
    held = tuple(
        client if here else replace(client, train=task.auxiliary.take(part[: len(client.train)]))
        for client, part, here in zip(task.clients, parts, present.tolist(), strict=True)
    )
    return replace(task, clients=held, auxiliary=task.auxiliary.take(order[count // 2 :]))
