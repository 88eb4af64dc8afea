"""What noise for a client's total epsilon of 1.5 leaves of accuracy, by the number of clients.

Twenty clients train in earnest; more of them are emulated: each of N clients has the data of
one of the twenty, and the mean of their updates has the noise that N clients' would have.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from math import sqrt
from typing import Any

import torch
from federated_tasks import at_rate, centered, fresh, records, scores, task_of

from seepage.accounting.calibration import calibrate
from seepage.accounting.distributed_gaussian import DistributedGaussian
from seepage.accounting.gaussian import mu_of
from seepage.auditing.federations import null_task
from seepage.core.defense import Defense
from seepage.core.task import Task
from seepage.defenses.dp.central_dp import CentralDP
from seepage.defenses.dp.distributed_dp import DistributedDP
from seepage.defenses.dp.local_dp import LocalDP
from seepage.fl.engine import train

DELTA, EPSILON = 1e-5, 1.5
REAL = 20
DATA = ("digits", "PneumoniaMNIST")
ROUNDS = (5, 20)
LOCAL_STEPS = 5
RATES = (0.03, 0.1, 0.3, 1.0, 3.0)
FEW = (20, 40, 80, 160, 320, 640)
CLIENTS = {
    "LocalDP": (20, 1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000),
    "CentralDP": FEW,
    "DistributedDP": FEW,
}
SEEDS = 6


@dataclass(frozen=True)
class Cell:
    """One mechanism at one number of clients and rounds; "none" is the baseline."""

    data: str
    mechanism: str
    rounds: int
    clients: int

    @property
    def key(self) -> str:
        return f"{self.data} / {self.mechanism} / {self.rounds} rounds / {self.clients} clients"


def cells() -> Iterator[Cell]:
    """Every cell, baselines first."""
    for data in DATA:
        yield Cell(data, "none", max(ROUNDS), REAL)
        for rounds in ROUNDS:
            for mechanism, counts in CLIENTS.items():
                for clients in counts:
                    yield Cell(data, mechanism, rounds, clients)


def multiplier(mechanism: str, rounds: int, clients: int, dimension: int) -> float:
    """Return the noise on one update (LocalDP) or on a sum, in clipping norms."""
    even = sqrt(rounds) / mu_of(EPSILON, DELTA)
    if mechanism == "LocalDP":  # any other update may stand in its place: twice the norm
        return 2 * even
    if mechanism == "CentralDP":
        return even

    def of_sums(z: float) -> DistributedGaussian:
        """Return what the sums of all clients are with this noise."""
        made = DistributedDP(noise_multiplier=z, threshold=clients, dimension=dimension)
        return made.released(rounds)

    return calibrate(of_sums, EPSILON, DELTA)


def defense(cell: Cell, dimension: int, norm: float) -> Defense:
    """Return what puts the noise of `cell.clients` clients on the mean of the real ones."""
    z = multiplier(cell.mechanism, cell.rounds, cell.clients, dimension)
    less = REAL / cell.clients
    if cell.mechanism == "LocalDP":
        return LocalDP(noise_multiplier=z * sqrt(less), max_norm=norm)
    if cell.mechanism == "CentralDP":
        return CentralDP(noise_multiplier=z * less, max_norm=norm)
    return DistributedDP(
        noise_multiplier=z * less, threshold=REAL, max_norm=norm, dimension=dimension
    )


@cache
def job(data: str, rounds: int, seed: int) -> Task:
    """Return logistic regression of twenty clients, its split drawn by the seed."""
    made = task_of(
        data,
        {"name": "logistic"},
        clients=REAL,
        rounds=rounds,
        local_steps=LOCAL_STEPS,
        seed=seed,
    )
    return centered(made)


@cache
def public_norm(data: str, lr: float) -> float:
    """Return the median norm of a client's first update on public records."""
    task = null_task(at_rate(job(data, 1, 0), lr))
    updates = train(task, seed=0, record=(0,)).rounds[0].released.values()
    lengths = [torch.cat([v.flatten() for v in u.values()]).norm() for u in updates]
    return float(torch.stack(lengths).median())


def run(cell: Cell, seeds: int = SEEDS) -> dict[str, Any]:
    """Return accuracies by seed, defended; learning rate and norm are chosen on public records."""
    tasks = [job(cell.data, cell.rounds, seed) for seed in range(seeds)]
    dimension = sum(p.numel() for p in fresh(tasks[0], 0).parameters())

    def at(lr: float, cell: Cell) -> list[Defense]:
        """Return the defenses for this learning rate."""
        known = cell.mechanism != "none"
        return [defense(cell, dimension, public_norm(cell.data, lr))] if known else []

    # Its noise on the mean is CentralDP's but for a few percent, and takes long to draw.
    like = replace(cell, mechanism="CentralDP") if cell.mechanism == "DistributedDP" else cell
    rates = {lr: _public_score(tasks[0], at(lr, like), lr) for lr in RATES}
    lr = max(rates, key=lambda rate: rates[rate])
    found = [scores(at_rate(task, lr), at(lr, cell), seed) for seed, task in enumerate(tasks)]
    held = [records([c.holdout for c in task.clients]).y for task in tasks]
    majority = [float((y == y.mode().values).double().mean()) for y in held]
    return {
        "accuracy": [a for a, _ in found],
        "fair": [b for _, b in found],
        "majority": majority,
        "lr": lr,
        "dimension": dimension,
        "noise": multiplier(cell.mechanism, cell.rounds, cell.clients, dimension)
        if cell.mechanism != "none"
        else 0.0,
    }


def _public_score(task: Task, defenses: list[Defense], lr: float) -> float:
    return scores(at_rate(null_task(task), lr), defenses, 0)[1]
