"""The verdict rule (DESIGN rule 1): a pass must be earned.

`leak`: the lower limit of the gain exceeds the tolerance. `clear`: the upper limit does
not, and a positive control leaked. Limits are Holm-corrected over the gated findings,
for each direction on its own. A measurement that surely exceeds its bound is a broken
implementation: it fails the audit whatever the gate counts or accepts.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from ..core.guarantees import GuaranteeTest
from ..core.intervals import holm, p_value
from ..core.plan import Gate
from ..core.results import CLEAR, INCONCLUSIVE, LEAK, PASS, Control, Finding, NotRun
from .cells import Measured
from .evidence import Evidence, Measure

ALPHA = 0.05
_PLAIN = {
    "identification_rate": "of the victims' records are recovered well enough to be picked out",
    "tpr_at_1pct_fpr": "of the members are found at 1 % false alarms",
    "tpr_at_01pct_fpr": "of the members are found at 0.1 % false alarms",
    "auc": "is how well members are told from others (50 % is chance)",
    "label_rate": "of the victims' labels are recovered",
    "source_accuracy": "of the records are traced to the client that holds them",
    "property_rate": "of the batches' values in a column are counted right",
    "attribute_accuracy": "of the victims' values in a column are guessed",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Case:
    measured: Measured
    evidence: Evidence
    measure: Measure
    control: Control
    gated: bool
    p_leak: float
    p_clear: float

    @property
    def bound(self) -> float | None:
        """Return the most that the claimed guarantee allows."""
        return self.measured.bounds.get(self.evidence.metric)


def judge(measured: Sequence[Measured], gate: Gate, today: datetime.date) -> tuple[Finding, ...]:
    """Turn what the cells measured into findings, in the order given."""
    cases = [_case(m, evidence, gate) for m in measured for evidence in m.defended]
    gated = [c for c in cases if c.gated]
    leaks = dict(zip(map(id, gated), holm([c.p_leak for c in gated], ALPHA), strict=True))
    clears = dict(zip(map(id, gated), holm([c.p_clear for c in gated], ALPHA), strict=True))
    level = 1 - ALPHA / max(len(gated), 1)
    bound_level = 1 - ALPHA / max(sum(c.bound is not None for c in cases), 1)
    return tuple(
        _finding(
            c,
            gate,
            today,
            leaks=leaks.get(id(c), c.p_leak <= ALPHA),
            bounded=clears.get(id(c), c.p_clear <= ALPHA),
            level=level if c.gated else 1 - ALPHA,
            bound_level=bound_level,
        )
        for c in cases
    )


def overall(
    findings: Sequence[Finding],
    not_run: Sequence[NotRun],
    guarantees: Sequence[GuaranteeTest] = (),
) -> tuple[str, str]:
    """Return the audit's verdict and its reason, from findings and cells without one.

    A claimed epsilon that canaries refute fails the audit, whatever the gate counts.
    """
    for test in guarantees:
        if test.refuted:
            return LEAK, (
                f"{test.task}: canaries refute the claimed epsilon {test.claimed:.3g} of "
                f"{test.mechanism}: it is at least {test.epsilon:.3g} at {test.confidence:.0%} "
                "confidence, so its implementation is broken"
            )
    counted = [f for f in findings if f.gated and f.accepted is None]
    broken = [f for f in findings if f.broken]
    if broken:
        return LEAK, (
            f"{len(broken)} of {len(findings)} findings exceed what a claimed guarantee allows, so "
            f"its implementation is broken; first: {broken[0].id}: {broken[0].reason}"
        )
    leaks = [f for f in counted if f.verdict == LEAK]
    if leaks:
        worst = max(leaks, key=lambda f: f.gain)
        return LEAK, f"{len(leaks)} of {len(counted)} gated findings leak; worst: {worst.id}"
    open_ = [f for f in counted if f.verdict == INCONCLUSIVE]
    if open_:
        return INCONCLUSIVE, (
            f"{len(open_)} of {len(counted)} gated findings are inconclusive; first: "
            f"{open_[0].id}: {open_[0].reason}"
        )
    missing = [n for n in not_run if n.gated]
    if missing:
        first = missing[0]
        return INCONCLUSIVE, (
            f"{len(missing)} gated attacks did not run; first: {first.attack} on {first.task}: "
            f"{first.reason}"
        )
    if not counted and not any(f.gated for f in findings):
        return INCONCLUSIVE, "nothing was measured that the gate counts"
    accepted = sum(f.gated for f in findings) - len(counted)
    reason = f"all {len(counted)} gated findings are clear, each with a control that leaked"
    if not counted:
        reason = "every gated finding was accepted"
    elif accepted:
        reason += f"; {accepted} more were accepted"
    outside = [f for f in findings if not f.gated and f.verdict == LEAK]
    if outside:
        reason += f"; outside the gate {len(outside)} leak, first: {outside[0].id}"
    return PASS, reason


def leaked(evidence: Evidence, tolerance: float) -> bool:
    """Return whether evidence alone shows a gain above the tolerance, at 95 %."""
    return evidence.measure().gain.interval(1 - ALPHA)[0] > tolerance


def control_of(measured: Measured, metric: str, tolerance: float) -> Control:
    """Return the twin as control, or the planted control where the twin does not leak."""
    chosen: Control | None = None
    for kind, all_evidence in (("twin", measured.twin), ("planted", measured.planted)):
        found = next((e for e in all_evidence if e.metric == metric), None)
        if found is None:
            continue
        measure = found.measure()
        chosen = Control(
            kind=kind,
            value=measure.value.value,
            ci=measure.value.interval(),
            leaked=leaked(found, tolerance),
            n=found.n,
            null=measure.null.value,
            prior=measure.prior.value,
        )
        if chosen.leaked:
            return chosen
    return chosen or Control(kind="none", value=0.0, ci=(0.0, 1.0), leaked=False)


def _case(measured: Measured, evidence: Evidence, gate: Gate) -> _Case:
    gated = evidence.metric in gate.metrics and (
        not gate.observers or measured.cell.observer.value in gate.observers
    )
    measure = evidence.measure()
    gain = measure.gain
    return _Case(
        measured=measured,
        evidence=evidence,
        measure=measure,
        control=control_of(measured, evidence.metric, gate.tolerance),
        gated=gated,
        p_leak=p_value(lambda level: gain.interval(level)[0] > gate.tolerance),
        p_clear=p_value(lambda level: gain.interval(level)[1] <= gate.tolerance),
    )


def _finding(
    case: _Case,
    gate: Gate,
    today: datetime.date,
    *,
    leaks: bool,
    bounded: bool,
    level: float,
    bound_level: float,
) -> Finding:
    cell, evidence, measure = case.measured.cell, case.evidence, case.measure
    low = measure.value.interval(bound_level)[0]
    broken = case.bound is not None and low > case.bound
    verdict = (
        LEAK if leaks or broken else CLEAR if bounded and case.control.leaked else INCONCLUSIVE
    )
    name = f"{cell.id}/{evidence.metric}"
    reason = _reason(case, verdict, tolerance=gate.tolerance)
    if broken:
        reason = (
            f"the lower limit {low:.1%} is above {case.bound:.1%}, the most that the claimed "
            "guarantee allows: the implementation is broken"
        )
    accepted = next((a for a in gate.accept if a.id == name), None)
    if accepted and (broken or accepted.expires < today):
        why = "a broken guarantee can't be accepted"
        reason += f" ({why if broken else f'its acceptance expired on {accepted.expires}'})"
        accepted = None
    return Finding(
        id=name,
        task=cell.task,
        attack=cell.attack.name,
        observer=cell.observer.value,
        moment=cell.moment,
        metric=evidence.metric,
        value=measure.value.value,
        ci=measure.value.interval(),
        n=evidence.n,
        units=evidence.units,
        null=measure.null.value,
        prior=measure.prior.value,
        gain=measure.gain.value,
        gain_ci=measure.gain.interval(level),
        control=case.control,
        bound=case.bound,
        verdict=verdict,
        reason=reason,
        gated=case.gated or broken,
        seconds=case.measured.seconds,
        accepted=accepted.reason if accepted else None,
        broken=broken,
        curve=case.measured.curves.get(evidence.metric),
        details={**evidence.details, **case.measured.details},
    )


def _reason(case: _Case, verdict: str, *, tolerance: float) -> str:
    value, baseline = case.measure.value.value, case.measure.baseline.value
    plain = _PLAIN.get(case.evidence.metric, f"is the {case.evidence.metric}")
    seen = f"{value:.1%} {plain}; without the view {baseline:.1%}"
    if verdict == LEAK:
        return f"{seen}: a gain above the tolerated {tolerance:.0%}"
    if verdict == CLEAR:
        return f"{seen}; the same attack leaks on the {case.control.kind} control"
    if not case.control.leaked:
        control = case.control
        return (
            f"{seen}, but no positive control leaked beyond doubt ({control.kind}: "
            f"{control.value:.1%}, without the view {max(control.null, control.prior):.1%}): "
            "this attack, so tuned, shows nothing"
        )
    small = case.measure.gain.value <= tolerance
    why = "a small gain, but not surely so" if small else "a gain, but it may be chance"
    return f"{seen}: {why}, with {case.evidence.units} independent draws"
