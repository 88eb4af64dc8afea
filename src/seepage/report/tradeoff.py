"""Several runs of the same jobs: utility and leakage over the total epsilon of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any

from ..core.errors import UsageError
from ..core.results import Result, plain_json
from .run_settings import differences, require_same_job
from .words import epsilon


@dataclass(frozen=True, kw_only=True, slots=True)
class Leakage:
    """A finding's measurement at one run; `guess` is the better of its null and its prior."""

    value: float
    ci: tuple[float, float]
    guess: float
    bound: float | None
    verdict: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """One run of a job.

    `epsilon` is the total, `inf` without a guarantee; `utility` as in a result, or empty;
    `leakage` by finding. `setting` says what sets the run apart from the others; `run` is
    empty for the undefended twin of the first run, which stands for all of them.
    """

    run: str
    setting: str
    epsilon: float
    utility: Mapping[str, Any]
    leakage: Mapping[str, Leakage]


@dataclass(frozen=True, kw_only=True, slots=True)
class Tradeoff:
    """A job's runs by falling protection, and whose epsilon it is that orders them."""

    task: str
    guarantee: str
    delta: float
    points: tuple[Point, ...]
    findings: Mapping[str, tuple[str, str]]
    """Finding -> its attack and metric, for those that at least two points have."""

    def to_json(self) -> dict[str, Any]:
        """Return plain types."""
        points = [
            {
                "run": p.run,
                "setting": p.setting,
                "total_epsilon": p.epsilon,
                "utility": dict(p.utility),
                "findings": {
                    name: {
                        "value": seen.value,
                        "ci": seen.ci,
                        "guess": seen.guess,
                        "bound": seen.bound,
                        "verdict": seen.verdict,
                    }
                    for name, seen in p.leakage.items()
                },
            }
            for p in self.points
        ]
        return plain_json(
            {
                "task": self.task,
                "guarantee": self.guarantee,
                "delta": self.delta,
                "points": points,
            }
        )


def tradeoffs(results: Sequence[Result]) -> tuple[Tradeoff, ...]:
    """Return a trade-off for every job that all runs have.

    Raises `UsageError` where they have none in common, where a job of the same name is
    another one, or where no run of it has a finite epsilon.
    """
    results = list({result.address: result for result in results}.values())
    jobs = [[t["name"] for t in result.plan.get("tasks") or ()] for result in results]
    common = [name for name in jobs[0] if all(name in others for others in jobs)]
    if not common:
        raise UsageError("these runs have no job in common; compare runs of the same plan")
    for task in common:
        require_same_job(results, task)
    return tuple(_tradeoff(results, task) for task in common)


def _tradeoff(results: Sequence[Result], task: str) -> Tradeoff:
    place, delta = _guarantee(results, task)
    settings = differences(results, task)
    points = [
        Point(
            run=run_name(result),
            setting=setting,
            epsilon=_epsilons(result, task).get((place, delta), inf),
            utility=result.utility.get("defended", {}).get(task, {}),
            leakage=_leakage(result, task),
        )
        for result, setting in zip(results, settings, strict=True)
    ]
    points.sort(key=lambda p: p.epsilon)
    if twin := _twin(results[0], task):
        points.append(twin)
    known = {f.id: (f.attack, f.metric) for r in results for f in r.findings if f.task == task}
    times = Counter(name for p in points for name in p.leakage)
    return Tradeoff(
        task=task,
        guarantee=place,
        delta=delta,
        points=tuple(points),
        findings={name: what for name, what in known.items() if times[name] > 1},
    )


def run_name(result: Result) -> str:
    """Return what a person calls a run: its folder, or the start of its address."""
    return result.folder.name if result.folder else result.address[:8]


def _epsilons(result: Result, task: str) -> dict[tuple[str, float], float]:
    """Return the least total epsilon by what it is of; each record holds by itself."""
    found: dict[tuple[str, float], float] = {}
    for record in result.privacy:
        if record.task in ("", task):
            place = f"one {record.unit}, {record.adjacency}, against {record.observer}"
            key = (place, record.delta)
            found[key] = min(found.get(key, inf), record.total_epsilon)
    return found


def _guarantee(results: Sequence[Result], task: str) -> tuple[str, float]:
    """Return the kind of epsilon that most runs have."""
    times = Counter(
        key
        for result in results
        for key, total in _epsilons(result, task).items()
        if isfinite(total)
    )
    if not times:
        raise UsageError(
            f"no run of {task!r} has a finite epsilon; without one there is no curve: "
            "compare two runs at a time"
        )
    return times.most_common(1)[0][0]


def _leakage(result: Result, task: str) -> dict[str, Leakage]:
    return {
        f.id: Leakage(
            value=f.value, ci=f.ci, guess=max(f.null, f.prior), bound=f.bound, verdict=f.verdict
        )
        for f in result.findings
        if f.task == task
    }


def _twin(result: Result, task: str) -> Point | None:
    """Return the undefended twin as a point; None where the run had no defense."""
    if not result.plan.get("defenses"):
        return None
    leakage = {
        f.id: Leakage(
            value=f.control.value,
            ci=f.control.ci,
            guess=max(f.control.null, f.control.prior),
            bound=None,
            verdict="control",
        )
        for f in result.findings
        if f.task == task and f.control.kind == "twin"
    }
    utility = result.utility.get("undefended", {}).get(task, {})
    return Point(run="", setting="undefended", epsilon=inf, utility=utility, leakage=leakage)


def shown_epsilon(point: Point) -> str:
    """Return a point's epsilon to three digits, or `none`."""
    return epsilon(point.epsilon) if isfinite(point.epsilon) else "none"
