"""What sets runs of the same job apart: their defenses' settings, training and seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..core.errors import UsageError
from ..core.results import Result

_SAME = ("data", "model", "loss")


def require_same_job(results: Sequence[Result], task: str) -> None:
    """Raise `UsageError` where runs have different data, models or losses for a job."""
    first = _task(results[0], task)
    for result in results[1:]:
        other = _task(result, task)
        for part in _SAME:
            if other.get(part) != first.get(part):
                raise UsageError(
                    f"job {task!r} has another {part} in {result.folder or result.address[:8]} "
                    f"than in {results[0].folder or results[0].address[:8]}: {other.get(part)} "
                    f"and not {first.get(part)}; compare runs of the same job"
                )


def differences(results: Sequence[Result], task: str) -> list[str]:
    """Return for each run the settings in which not all agree, in one line."""
    all_settings = [_settings(result, task) for result in results]
    names = dict.fromkeys(name for settings in all_settings for name in settings)
    apart = [n for n in names if len({repr(s.get(n)) for s in all_settings}) > 1]
    return [
        ", ".join(f"{n.rpartition('.')[2]} {s[n]}" for n in apart if n in s) or "no defense"
        for s in all_settings
    ]


def _settings(result: Result, task: str) -> dict[str, Any]:
    """Return the settings that may differ, by a name whose last part says what it is."""
    found: dict[str, Any] = {}
    for defense in result.plan.get("defenses") or ():
        found[f"{defense['name']}.defense"] = defense["name"]
        for name, value in defense.get("settings", {}).items():
            found[f"{defense['name']}.{name}"] = value
    for name, value in _task(result, task).get("training", {}).items():
        found[f"training.{name}"] = value
    return {**found, "seed": result.seed}


def _task(result: Result, task: str) -> Mapping[str, Any]:
    return next(t for t in result.plan.get("tasks") or () if t["name"] == task)
