"""Runs the cells of an audit, cheapest first, and puts the result together."""

from __future__ import annotations

import datetime
import shlex
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from math import ceil
from typing import Any, Protocol

from ..core.errors import NotApplicableError, SeepageError, SeepageWarning
from ..core.guarantees import GuaranteeTest
from ..core.intervals import units_for_clear
from ..core.plan import Gate, Plan
from ..core.privacy import EpsilonRecord
from ..core.results import NotRun, Result
from . import evidence as stored
from .bounds import with_bounds
from .canary_audit import CanaryAudit
from .cells import Cell, Job, Measured, enumerate_cells
from .exposure import exposure
from .federations import Federations
from .hypotheses import hypotheses
from .job_facts import job_facts, measurer
from .measuring import Laboratory
from .memberships import with_memberships
from .simulating import Workshop
from .spec import Spec
from .store import Store, versions
from .verdict import judge, overall

MARGIN = 1.2
"""Units are this much more than a clear needs at no hit, so that a chance hit is no bar."""


class Watcher(Protocol):
    """Who is told of progress."""

    def cell(self, name: str, finished: int, total: int) -> None:
        """A cell starts."""
        ...

    def part(self, name: str, done: int, total: int) -> None:
        """So many of the things that a cell needs are made."""
        ...


class Silent:
    """Tells nobody."""

    def cell(self, name: str, finished: int, total: int) -> None:
        """Do nothing."""

    def part(self, name: str, done: int, total: int) -> None:
        """Do nothing."""


def run(spec: Spec, store: Store, watcher: Watcher, *, include_records: bool = False) -> Result:
    """Run every cell that is not stored yet and fits the budget; judge and store the result."""
    started = time.monotonic()
    plan = spec.plan
    cells, not_run = enumerate_cells(spec.jobs, spec.attackers, plan.watchers())
    units = plan.units or ceil(
        MARGIN * units_for_clear(plan.gate.tolerance, hypotheses(cells, spec.jobs, plan.gate))
    )
    labs = {
        job.task.name: Laboratory(
            job=job,
            federations=Federations(
                job,
                seed=plan.seed,
                width=width(job, units),
                on_trained=measurer(job.task, store),
                workshop=Workshop(
                    folder=store.folder / "shadows",
                    on_trained=partial(watcher.part, "shadow federations"),
                ),
            ),
            seed=plan.seed,
            units=units,
            tolerance=plan.gate.tolerance,
            store=store,
            include_records=include_records,
        )
        for job in spec.jobs
    }
    measured: list[Measured] = []
    worked = False
    tested = spec.jobs if plan.canaries.count else ()
    parts = len(cells) + len(tested)
    for finished, cell in enumerate(cells):
        found = _read(store, cell)
        if found is None and time.monotonic() - started > plan.budget_seconds:
            not_run.append(_not_run(cell, f"the budget of {plan.budget} was spent", gated=True))
            continue
        if found is None:
            watcher.cell(cell.id, finished, parts)
            worked = True
            found = _run_cell(labs[cell.task], cell, store)
        if isinstance(found, NotRun):
            not_run.append(found)
        else:
            measured.append(found)
    guarantees: list[GuaranteeTest] = []
    for done, job in enumerate(tested, len(cells)):
        watcher.cell(f"{job.task.name}/canaries", done, parts)
        found = _guarantees(job, plan, store)
        if isinstance(found, NotRun):
            not_run.append(found)
        else:
            guarantees += found
    facts = [job_facts(lab.federations, store) for lab in labs.values()]
    seconds = _spent(store, time.monotonic() - started, worked=worked)
    return _result(spec, store, measured, not_run, guarantees, facts, seconds)


def _spent(store: Store, seconds: float, *, worked: bool) -> float:
    """Return the time that all sittings of this run took; one that only read adds nothing."""
    before = store.read("jobs", "spent")
    total = (before["seconds"] if before else 0.0) + (seconds if worked or not before else 0.0)
    store.write("jobs", "spent", {"seconds": total})
    return total


def width(job: Job, units: int) -> int:
    """Return how many rounds a moment spans: enough for the units, a third of the job at most."""
    return max(1, min(ceil(units / job.task.cohort), job.task.training.rounds // 3))


def privacy(spec: Spec) -> tuple[EpsilonRecord, ...]:
    """Return the epsilon records of every job."""
    return tuple(
        replace(record, task=job.task.name)
        for job in spec.jobs
        for defense in job.defenses
        for record in defense.privacy(exposure(job, spec.plan.delta))
    )


def _run_cell(lab: Laboratory, cell: Cell, store: Store) -> Measured | NotRun:
    """Run a cell and store it; what crashes stands in `not_run` with its reason."""
    started = time.monotonic()
    try:
        found = lab.measure(cell)
    except NotApplicableError as error:
        return _not_run(cell, str(error), gated=not lab.inapplicable_to_twin(cell))
    except SeepageError as error:
        return _not_run(cell, str(error), gated=True)
    except Exception as error:  # an attack is a stranger's code: fail closed, go on
        return _not_run(cell, f"crashed: {type(error).__name__}: {error}", gated=True)
    found = replace(found, seconds=time.monotonic() - started)
    store.write(
        "cells",
        cell.id,
        {
            "defended": [stored.to_json(e) for e in found.defended],
            "twin": [stored.to_json(e) for e in found.twin],
            "planted": [stored.to_json(e) for e in found.planted],
            "seconds": found.seconds,
            "details": dict(found.details),
        },
    )
    return found


def _guarantees(job: Job, plan: Plan, store: Store) -> list[GuaranteeTest] | NotRun:
    """Return the tests of a job's claimed epsilons, which are run once and stored."""
    kept = store.read("canaries", job.task.name)
    if kept is not None:
        return [GuaranteeTest(**test) for test in kept["tests"]]
    try:
        found = CanaryAudit(job=job, plan=plan.canaries, seed=plan.seed, delta=plan.delta).run()
    except SeepageError as error:
        return NotRun(
            task=job.task.name,
            attack=plan.canaries.attack,
            observer=plan.canaries.observer,
            moment="canaries",
            reason=str(error),
        )
    store.write("canaries", job.task.name, {"tests": [asdict(test) for test in found]})
    return list(found)


def _read(store: Store, cell: Cell) -> Measured | None:
    content = store.read("cells", cell.id)
    if content is None:
        return None
    defended, twin, planted = (
        tuple(stored.from_json(e) for e in content[name])
        for name in ("defended", "twin", "planted")
    )
    return Measured(
        cell=cell,
        defended=defended,
        twin=twin,
        planted=planted,
        seconds=content["seconds"],
        details=content["details"],
    )


def _not_run(cell: Cell, reason: str, *, gated: bool) -> NotRun:
    return NotRun(
        task=cell.task,
        attack=cell.attack.name,
        observer=cell.observer.value,
        moment=cell.moment,
        reason=reason,
        gated=gated,
    )


def _result(
    spec: Spec,
    store: Store,
    measured: Sequence[Measured],
    not_run: Sequence[NotRun],
    guarantees: Sequence[GuaranteeTest],
    facts: Sequence[Mapping[str, Any]],
    seconds: float,
) -> Result:
    jobs = {job.task.name: job for job in spec.jobs}
    complete: list[Measured] = []
    for m in measured:
        job = jobs[m.cell.task]
        line = spec.lines.get(m.cell.task, 1)
        m = replace(m, details={**m.details, "line": line})
        complete.append(with_bounds(m, job, exposure(job, spec.plan.delta)))
    findings = judge(complete, spec.plan.gate, datetime.date.today())
    findings = with_memberships(findings, complete, jobs, spec.plan.seed)
    for accepted in spec.plan.gate.accept:
        if accepted.id not in {f.id for f in findings}:
            text = f"gate.accept names {accepted.id!r}, which is no finding of this audit"
            warnings.warn(text, SeepageWarning, stacklevel=2)
    not_run = _gate_not_run(not_run, spec.plan.gate)
    verdict, reason = overall(findings, not_run, guarantees)
    settings = spec.plan.to_json()
    sent, clients = (sum(f[what] for f in facts) for what in ("bytes_up", "clients"))
    result = Result(
        verdict=verdict,
        reason=reason,
        plan=settings,
        source=spec.source,
        address=store.address,
        seed=spec.plan.seed,
        versions=versions(),
        utility={
            kind: {f["task"]: f["utility"][kind] for f in facts}
            for kind in ("undefended", "defended")
        },
        cost={
            "seconds": seconds,
            "bytes_up": sent,
            "bytes_down": sum(f["bytes_down"] for f in facts),
            "bytes_up_per_client": round(sent / clients),
        },
        privacy=privacy(spec),
        findings=findings,
        not_run=tuple(not_run),
        guarantees=tuple(guarantees),
        replay=_replay(spec),
        folder=store.folder,
    )
    result.save(store.folder / "result.json")
    result.save(store.folder / "report.html")
    return result


def _gate_not_run(not_run: Sequence[NotRun], gate: Gate) -> list[NotRun]:
    return [
        replace(n, gated=n.gated and (not gate.observers or n.observer in gate.observers))
        for n in not_run
    ]


def _replay(spec: Spec) -> str:
    if not spec.replayable:
        return "run the same seepage.audit(...) call again"
    return shlex.join(["seepage", "audit", spec.source, "--seed", str(spec.plan.seed)])
