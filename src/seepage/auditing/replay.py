"""Runs one finding of a finished run again."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from ..core.errors import UsageError
from ..core.names import nearest
from ..core.plan import Component
from ..core.plan_reader import plan_from_json
from ..core.registry import canonical_finding
from ..core.results import Finding, Result
from .api import audit_plan


def replay(recorded: Result, finding: str) -> tuple[Finding, Finding]:
    """Return the recorded finding and the same one from a fresh run of its cell alone.

    Raises `UsageError` where the run has no such finding or was no plan's.
    """
    finding = canonical_finding(finding)
    known = {f.id: f for f in recorded.findings}
    if finding not in known:
        raise UsageError(f"this run has no finding {finding!r}{nearest(finding, known)}")
    if recorded.plan["name"] == "api":
        raise UsageError("this run was started from Python: call seepage.audit again to replay it")
    before = known[finding]
    plan = plan_from_json(recorded.plan)
    only = replace(
        plan,
        tasks=tuple(
            replace(t, moments=(before.moment,) if before.moment in t.moments else t.moments)
            for t in plan.tasks
            if t.name == before.task
        ),
        attacks=tuple(a for a in plan.attacks if a.name == before.attack)
        or (Component(name=before.attack),),
        observers=(before.observer,),
        units=int(before.details.get("planned_units", plan.units)),
        budget="none",
    )
    base = Path(recorded.source).parent if Path(recorded.source).is_file() else Path()
    with tempfile.TemporaryDirectory(prefix="seepage-replay-") as folder:
        after = audit_plan(only, source=recorded.source, base=base, out=folder)
    again = next((f for f in after.findings if f.id == finding), None)
    if again is None:
        raise UsageError(f"{finding}: did not run again: {after.reason}")
    return before, again
