"""Attacks alone, on a few draws of one job: what they make of them, without a verdict."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from math import ceil
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from ..core.attack import Attack
from ..core.cards import AttackCard
from ..core.claims import Reconstruction
from ..core.errors import UsageError
from ..core.plan import Component, Plan, TaskPlan
from ..core.registry import card
from ..core.threat import OBSERVERS
from ..fl.utility import utility
from .attempts import Attempt, Attempts
from .cells import Attacker, Cell, enumerate_cells
from .federations import Federations
from .pictures import picture_arrays
from .spec import from_plan


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Trial:
    """What one attack made of a job.

    Fields
    ------
    attack, settings, observer, task, defenses, moment, seed : what was run
    metric, value, ci, n, draws, null, prior, gain, gain_ci : as of a finding (95 % limits)
    solved : share of draws that the attack itself takes for solved
    explanation : the attack's own, of the first draw
    seconds : CPU seconds a draw
    details : PSNR and SSIM, and what clients saw of a malicious server
    pictures : truth and reconstructions, blurred unless records were asked for
    """

    attack: str
    settings: dict[str, Any]
    observer: str
    task: dict[str, Any]
    defenses: list[dict[str, Any]]
    moment: str
    seed: int
    metric: str
    value: float
    ci: tuple[float, float]
    n: int
    draws: int
    null: float
    prior: float
    gain: float
    gain_ci: tuple[float, float]
    solved: float
    explanation: str
    seconds: float
    details: dict[str, Any] = field(default_factory=dict[str, Any])
    pictures: dict[str, np.ndarray] = field(default_factory=dict[str, np.ndarray])

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types, all but the pictures."""
        content = asdict(replace(self, pictures={}))
        content.pop("pictures")
        return {"schema": "seepage.trial/1", **content}


class Bench:
    """A plan's (first) job, trained once up to its (first) moment, on which attacks are tried.

    `draws` is the most batches that an attack can be given. Raises `UsageError` where data,
    model and defenses don't fit together.
    """

    def __init__(self, plan: Plan, *, draws: int = 4, base: Path | None = None) -> None:
        trained = _no_longer_than_needed(plan.tasks[0], draws)
        spec = from_plan(replace(plan, tasks=(trained,)), source="", base=base)
        self.plan, self.draws = plan, draws
        (self.job,) = spec.jobs
        federations = Federations(self.job, seed=plan.seed, width=_width(trained, draws))
        self._federations = federations
        self._attempts = Attempts(job=self.job, federations=federations, seed=plan.seed)

    def utility(self) -> dict[str, Any]:
        """Return what the model is good for at the moment of the attack."""
        return dict(utility(self._federations.transcript("defended").model, self.job.task))

    def run(
        self, attack: Component, *, draws: int | None = None, include_records: bool = False
    ) -> Trial:
        """Attack some draws of batches (None: all).

        Raises `UsageError` for an attack on membership (which asks of a whole audit) and
        where no observer can run the attack on this job; `NotApplicableError` where the
        attack can't work on such a model.
        """
        found = card("attacks", attack.name)
        if found.claims not in {"reconstruction", "attribute"}:
            raise UsageError(
                f"{attack.name} claims {found.claims}: such an attack is judged by `seepage audit`"
            )
        cell = self._cell(found, attack)
        built: Attack = found.build(attack.settings)
        attempt = self._attempts.run(cell, built, "defended", draws or self.draws)
        pictures = {}
        if found.claims == "reconstruction":
            pictures = picture_arrays(
                {"defended": attempt.recovered}, include_records=include_records
            )
        return _told(cell, self.plan, attempt, pictures)

    def _cell(self, found: AttackCard, attack: Component) -> Cell:
        observers = [o for o in found.observers if OBSERVERS[o].audited]
        chosen = [Attacker(card=found, settings=attack.settings)]
        cells, ruled_out = enumerate_cells([self.job], chosen, observers)
        cells = [cell for cell in cells if cell.attack.name == found.name]
        if not cells:
            reason = ruled_out[0].reason if ruled_out else "no observer gets a view that it reads"
            raise UsageError(f"{attack.name} can't be run on this job: {reason}")
        return cells[0]


def _told(cell: Cell, plan: Plan, attempt: Attempt, pictures: dict[str, np.ndarray]) -> Trial:
    (evidence,) = attempt.evidence
    measure = evidence.measure()
    claims = [c for c in attempt.claims if isinstance(c, Reconstruction)]
    low, high = measure.value.interval()
    least, most = measure.gain.interval()
    return Trial(
        attack=cell.attack.name,
        settings=dict(cell.settings),
        observer=cell.observer.value,
        task=asdict(plan.tasks[0]),
        defenses=[asdict(d) for d in plan.defenses],
        moment=plan.tasks[0].moments[0],
        seed=plan.seed,
        metric=evidence.metric,
        value=measure.value.value,
        ci=(low, high),
        n=evidence.n,
        draws=evidence.units,
        null=measure.null.value,
        prior=measure.prior.value,
        gain=measure.gain.value,
        gain_ci=(least, most),
        solved=mean(c.solved for c in claims) if claims else 0.0,
        explanation=claims[0].explanation if claims else "",
        seconds=mean(c.seconds for c in claims) if claims else 0.0,
        details={k: v for k, v in evidence.details.items() if k != "note"},
        pictures=pictures,
    )


def _width(task: TaskPlan, draws: int) -> int:
    cohort = task.training.cohort or task.data.clients
    return min(ceil(draws / cohort), task.training.rounds)


def _no_longer_than_needed(task: TaskPlan, draws: int) -> TaskPlan:
    """Return the task with as few rounds as its moment asks for."""
    training = task.training
    first = {"start": 0, "middle": training.rounds // 2, "end": training.rounds}[task.moments[0]]
    rounds = max(first, _width(task, draws))
    return replace(task, training=replace(training, rounds=rounds), moments=("end",))
