"""What clients train on: their records, as the defenses of records leave them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from ..core.defense import Defense
from ..core.errors import RefusedError
from ..core.seeds import torch_rng

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..core.task import ClientData, Task


def trained_on(task: Task, defenses: Sequence[Defense], *, seed: int, replica: int) -> Task:
    """Return `task` with every client's training records protected, once for the whole job.

    The same seed and replica give the same records, so that a round which is run anew trains
    on what the job trained on. Held-out records stay. Raises `RefusedError` where a defense
    refuses a record, or gives back other ones.
    """
    acting = [d for d in defenses if type(d).protect_records is not Defense.protect_records]
    if not acting:
        return task
    clients = tuple(
        _protected(client, acting, torch_rng(seed, "records", replica, number))
        for number, client in enumerate(task.clients)
    )
    return replace(task, clients=clients)


def _protected(client: ClientData, defenses: Sequence[Defense], rng: torch.Generator) -> ClientData:
    records = client.train
    for defense in defenses:
        given, records = records, defense.protect_records(records, rng)
        same_rows = torch.equal(records.rows, given.rows)
        if not same_rows or not len(records.inputs) == len(records.targets) == len(given):
            raise RefusedError(
                f"{type(defense).__name__}: the protected records of client {client.name!r} are "
                "not the rows that it holds; return one for each, in their order"
            )
    return replace(client, train=records)
