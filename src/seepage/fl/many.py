"""Trains many federations of one kind on different records: in step, and over processes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING

import torch

from ..core.seeds import torch_rng
from ..core.task import ClientData
from .engine import train
from .lockstep import Trained, train_in_step
from .probe import traits
from .processes import WORTH_PROCESSES, over_processes
from .state import shared_state

if TYPE_CHECKING:
    from torch import Tensor

    from ..core.defense import Defense
    from ..core.task import Records, Task
    from .shelf import Shelf

# Measured on one CPU core, MLPs of 64 and 256 units, batches of 64 and 256, 8 clients: in step
# is 2 to 7 times faster below this product of parameters and records a round, and even above.
MOST_WORK_A_ROUND = 25_000_000
MUCH_WORK_A_ROUND = 5_000_000
TOGETHER, TOGETHER_MUCH = 8, 4  # above much work, 4 in step are as fast as 8 and spread better
TRIAL = 2
FASTEST = 5e10
"""Floating-point operations a second that a core hardly exceeds on products so small."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Deals:
    """Records dealt out to the clients of many federations.

    Fields
    ------
    pool : the records
    parts : by federation and client, indices in `pool`, `[n]`; client c holds as many in each
        federation
    seeds : of all randomness, by federation
    """

    pool: Records
    parts: Sequence[Sequence[Tensor]]
    seeds: Sequence[int]

    def __len__(self) -> int:
        return len(self.seeds)

    def some(self, chosen: slice) -> Deals:
        """Return the deals of some federations."""
        return replace(self, parts=self.parts[chosen], seeds=self.seeds[chosen])

    def task(self, task: Task, k: int) -> Task:
        """Return `task` on the records of federation `k`, which hold nothing out."""
        none = torch.empty(0, dtype=torch.int64)
        clients = tuple(
            ClientData(name=str(c), train=self.pool.take(part), holdout=self.pool.take(none))
            for c, part in enumerate(self.parts[k])
        )
        return replace(task, clients=clients)


def train_many(
    task: Task,
    deals: Deals,
    *,
    defenses: Sequence[Defense] = (),
    keep: Collection[int] = (),
    in_step: bool | None = None,
    cores: int | None = None,
    on_trained: Callable[[int, int], None] | None = None,
    shelf: Shelf | None = None,
) -> list[Trained]:
    """Train `task` on each of the deals, as `engine.train` would up to rounding.

    Parameters
    ----------
    keep : rounds before which the global state is kept
    in_step : force or forbid training federations in step where it is possible (None: where
        it was measured to be faster)
    cores : processes to spread over, where the work is worth it (None: all of the machine)
    on_trained : told the number of federations that are done, and of all
    shelf : where those that were trained before lie, and finished ones are put

    What it returns does not depend on how the work is spread. Raises what `engine.train` does.
    """
    together = _together(task, deals, defenses, in_step)
    chunks = _chunks(deals, together)
    work = _Work(task, tuple(defenses), frozenset(keep), together > 1, shelf)
    found: list[Trained] = []
    started, trained = time.perf_counter(), 0
    cores, each = cores or os.cpu_count() or 1, _least_seconds(task, deals)
    for done, chunk in enumerate(chunks):
        before = shelf.read(chunk.seeds) if shelf else None
        if before is None:
            if trained:
                each = (time.perf_counter() - started) / trained
            if cores > 1 and each * (len(deals) - len(found)) > WORTH_PROCESSES:
                return found + _spread(work, chunks[done:], cores, len(found), on_trained)
            trained += len(chunk)
        found += work(chunk) if before is None else before
        if on_trained:
            on_trained(len(found), len(deals))
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    """What is done with a chunk of deals, wherever it is done."""

    task: Task
    defenses: tuple[Defense, ...]
    keep: frozenset[int]
    in_step: bool
    shelf: Shelf | None

    def __call__(self, deals: Deals) -> list[Trained]:
        found = _chunk(self.task, deals, self.defenses, self.keep, self.in_step)
        if self.shelf:
            self.shelf.write(deals.seeds, found)
        return found

    def unless_done(self, deals: Deals) -> list[Trained]:
        """Do it, unless it was done before."""
        before = self.shelf.read(deals.seeds) if self.shelf else None
        return self(deals) if before is None else before


def _spread(
    work: _Work,
    chunks: Sequence[Deals],
    cores: int,
    before: int,
    on_trained: Callable[[int, int], None] | None,
) -> list[Trained]:
    """Return the federations of all chunks, by processes; `before` many are done already."""
    every = before + sum(map(len, chunks))
    found: list[Trained] = []
    for part in over_processes(work.unless_done, chunks, cores):
        found += part
        if on_trained:
            on_trained(before + len(found), every)
    return found


def _chunk(
    task: Task, deals: Deals, defenses: Sequence[Defense], keep: Collection[int], in_step: bool
) -> list[Trained]:
    if in_step:
        return train_in_step(task, deals.pool, deals.parts, deals.seeds, keep)
    found: list[Trained] = []
    for k, seed in enumerate(deals.seeds):
        run = train(deals.task(task, k), defenses=defenses, seed=seed, record=keep)
        found.append(Trained(last=shared_state(run.model), states=dict(run.states)))
    return found


def _chunks(deals: Deals, together: int) -> list[Deals]:
    """Return a short first chunk, which is timed, and the others of nearly equal length.

    They depend on nothing measured: federations in step round as those beside them make them.
    """
    first = min(TRIAL, together)
    parts = max(ceil((len(deals) - first) / together), 1)
    ends = [first + (len(deals) - first) * n // parts for n in range(parts + 1)]
    cuts = [slice(0, first), *map(slice, ends[:-1], ends[1:])]
    return [chunk for chunk in map(deals.some, cuts) if len(chunk)]


def _least_seconds(task: Task, deals: Deals) -> float:
    """Return seconds that a federation takes at least, by the arithmetic of its products alone."""
    model = task.build(torch_rng(deals.seeds[0], "model", 0))
    steps = task.training.rounds * task.training.local_steps
    records = task.cohort * (task.training.batch_size or len(deals.parts[0][0]))
    operations = 6 * sum(p.numel() for p in model.parameters()) * records * steps
    return operations / FASTEST


def _together(task: Task, deals: Deals, defenses: Sequence[Defense], wanted: bool | None) -> int:
    """Return how many federations can, and shall, be trained in step."""
    sizes = {tuple(len(part) for part in parts) for parts in deals.parts}
    batch = task.training.batch_size
    unequal = batch == 0 or batch > min(min(s) for s in sizes)
    if wanted is False or defenses or len(sizes) > 1 or (unequal and len(set(*sizes)) > 1):
        return 1
    model = task.build(torch_rng(deals.seeds[0], "model", 0))
    found = traits(deals.task(task, 0), model)
    if not found.batchable or found.stochastic:
        return 1
    records = task.cohort * (batch or len(deals.parts[0][0]))
    work = sum(p.numel() for p in model.parameters()) * records
    if work > MOST_WORK_A_ROUND and not wanted:
        return 1
    return TOGETHER_MUCH if work > MUCH_WORK_A_ROUND else TOGETHER
