"""What a reader should see first: the order of findings, how many, and what to beware of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import isinf

from ..core.plan import Gate
from ..core.results import CLEAR, INCONCLUSIVE, LEAK, PASS, Finding, Result
from .words import figure, limits, metric

VERDICTS: dict[str, tuple[str, str]] = {
    LEAK: ("Leak", "At least one attack learned more than it could have guessed."),
    INCONCLUSIVE: (
        "Inconclusive",
        "No leak was shown, but the evidence does not rule one out.",
    ),
    PASS: (
        "Pass",
        "No attack learned more than it could have guessed, "
        "and each one leaked on a control where there was something to find.",
    ),
}
"""Verdict of an audit -> word, and what it says in plain words."""

_WORST_FIRST = (LEAK, INCONCLUSIVE, CLEAR)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """How many findings count and how they fell; accepted ones are counted apart."""

    leak: int
    inconclusive: int
    clear: int
    accepted: int
    ungated: int
    not_run: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Caution:
    """Something that limits how far the verdict can be trusted, and where."""

    title: str
    meaning: str
    items: tuple[str, ...]


def counts(finding: Finding) -> bool:
    """Whether the finding weighs on the audit's verdict."""
    return finding.gated and finding.accepted is None


def ranked(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings with those that count first, then the worst, then the largest gain."""
    return sorted(
        findings,
        key=lambda f: (not f.gated, not counts(f), _WORST_FIRST.index(f.verdict), -f.gain, f.id),
    )


def tally(result: Result) -> Tally:
    """Count findings by what they mean for the verdict."""
    fell = [f.verdict for f in result.findings if counts(f)]
    return Tally(
        leak=fell.count(LEAK),
        inconclusive=fell.count(INCONCLUSIVE),
        clear=fell.count(CLEAR),
        accepted=sum(f.gated and not counts(f) for f in result.findings),
        ungated=sum(not f.gated for f in result.findings),
        not_run=len(result.not_run),
    )


def tolerance(result: Result) -> float:
    """Return the gain that the gate tolerates."""
    gate = result.plan.get("gate") or {}
    return float(gate.get("tolerance", Gate().tolerance))


def place(finding: Finding) -> str:
    """Return where a finding stands, for a list."""
    return " · ".join(
        (finding.attack, finding.task, finding.observer, finding.moment, metric(finding.metric))
    )


def cautions(result: Result) -> list[Caution]:
    """Return the warnings of a result, the gravest first."""
    findings = ranked(result.findings)
    broken = [
        f"{place(f)}: measured {figure(f.value)} {limits(f.ci)}, bound {figure(f.bound)}"
        for f in findings
        if f.broken and f.bound is not None
    ]
    blunt = [
        f"{place(f)}: {f.control.kind} control at {figure(f.control.value)} {limits(f.control.ci)}"
        for f in findings
        if f.control.kind != "none" and not f.control.leaked and f.verdict != LEAK
    ]
    uncontrolled = [
        place(f) for f in findings if f.gated and f.control.kind == "none" and f.verdict != LEAK
    ]
    accepted = [
        f"{place(f)}: {f.verdict}; accepted because: {f.accepted}"
        for f in findings
        if f.gated and f.accepted is not None
    ]
    unbounded = [
        f"{' · '.join(filter(None, (r.task, r.mechanism, r.observer)))}: {r.trust}"
        for r in result.privacy
        if isinf(r.total_epsilon)
    ]
    found = (
        (
            "Measured above its bound",
            "An attack did better than the defense's guarantee allows. The implementation is "
            "broken, or an assumption of its proof does not hold.",
            broken,
        ),
        (
            "Positive control did not leak",
            "The same attack, at the same budget, found nothing where there was something to "
            "find. Its silence on the defended job is no evidence.",
            blunt,
        ),
        (
            "No positive control",
            "Nothing shows that the attack would have found a leak if there were one.",
            uncontrolled,
        ),
        (
            "Accepted by the plan",
            "A person decided that these findings do not count towards the verdict.",
            accepted,
        ),
        (
            "No privacy guarantee",
            "Against these observers the mechanism bounds nothing: epsilon is infinite.",
            unbounded,
        ),
    )
    return [Caution(title=t, meaning=m, items=tuple(items)) for t, m, items in found if items]
