"""The jobs of `who_was_in.py`: six datasets, trained sensibly and overfit, under five defenses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path

from seepage.auditing.cells import Job
from seepage.auditing.exposure import exposure
from seepage.auditing.spec import from_plan
from seepage.core.defense import Defense
from seepage.core.plan_reader import read_plan
from seepage.core.privacy import EpsilonRecord
from seepage.core.task import Task
from seepage.defenses.api import DPSGD, LocalDP, SecureAggregation
from seepage.fl.engine import train

TABLES = ("heart-disease", "icu-mortality", "credit-default", "income")
IMAGES = ("pneumonia", "cifar10")
SMALL = ("heart-disease", "icu-mortality")
FITS = ("sensible", "overfit")
DEFENSES = ("none", "dp-sgd 8", "dp-sgd 1.5", "local-dp 8", "secure sum")
DELTA = 1e-5


@dataclass(frozen=True)
class Row:
    """One job."""

    data: str
    fit: str
    defense: str

    @property
    def key(self) -> str:
        """Return its name in the log."""
        return f"{self.data} / {self.fit} / {self.defense}"

    @property
    def shadows(self) -> bool:
        """Return whether attacks that train shadow federations are worth their time on it."""
        if self.defense.startswith("dp-sgd"):
            return self.data in SMALL
        return self.data in TABLES or self.defense == "none"


def rows() -> Iterator[Row]:
    """Yield every job, undefended ones first."""
    for defense in DEFENSES:
        for data in (*TABLES, *IMAGES):
            for fit in FITS:
                yield Row(data, fit, defense)


@cache
def planned(data: str, fit: str) -> Task:
    """Return the undefended job, with the number of rounds after which it stopped early."""
    if data in TABLES:
        text, name = (files("seepage.auditing.plans") / f"{data}.toml").read_text(), fit
    else:
        text = (Path(__file__).parent / "membership_images.toml").read_text()
        name = f"{data} {fit}"
    jobs = {job.task.name: job.task for job in from_plan(read_plan(text), source="").jobs}
    task = jobs[name]
    if task.training.patience:
        task = replace(task, training=train(task, seed=0).task.training)
    return task


def job(row: Row) -> tuple[Job, EpsilonRecord | None]:
    """Return the job under its defense, and what that guarantees."""
    task = planned(row.data, row.fit)
    if row.defense == "none":
        return Job(task=task), None
    if row.defense == "secure sum":
        return Job(task=task, defenses=(SecureAggregation(),)), None
    kind, epsilon = row.defense.split()
    defense, record = calibrated(task, kind, float(epsilon))
    return Job(task=task, defenses=(defense,)), record


def calibrated(task: Task, kind: str, epsilon: float) -> tuple[Defense, EpsilonRecord]:
    """Return the defense with the least noise whose total epsilon is at most `epsilon`."""
    seen = exposure(Job(task=task), DELTA)

    def made(noise: float) -> tuple[Defense, EpsilonRecord]:
        """Return the defense at a noise multiplier, and its record."""
        if kind == "dp-sgd":
            defense: DPSGD | LocalDP = DPSGD(noise_multiplier=noise, max_grad_norm=1.0)
        else:
            defense = LocalDP(noise_multiplier=noise, max_norm=1.0)
        return defense, defense.privacy(seen)[0]

    low, high = 0.3, 0.6
    while made(high)[1].total_epsilon > epsilon:
        low, high = high, 2 * high
    while high / low > 1.005:
        middle = (low * high) ** 0.5
        low, high = (middle, high) if made(middle)[1].total_epsilon > epsilon else (low, middle)
    return made(high)
