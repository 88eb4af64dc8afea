"""What membership attacks told of whom, as a person reads it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..core.exposed import ExposedRecord, FoundAt, Group, Membership, Slice
from ..core.results import Finding
from .axes import LinearAxis
from .curve_figure import CurveFigure, curve_figure
from .words import figure, limits, metric, percent

SHOWN = 8
"""Attacks of a report at most; all stand in `result.json`."""

BAR, MARGIN = 120.0, 6.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """One figure of merit: its name, value with limits, the null's, and why it is withheld."""

    name: str
    value: str
    limits: str
    null: str
    withheld: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """Where a group's AUC and its limits lie in a drawing 120 wide; `half` is where 0.5 does."""

    value: float
    low: float
    high: float
    half: float
    description: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Exposed:
    """One attack's finding: the figure, the sentence, the rates, and its records and groups.

    `worst`: of all attacks on its job the one that did best, whose details come first.
    """

    finding: Finding
    membership: Membership
    figure: CurveFigure | None
    sentence: str
    rates: tuple[Rate, ...]
    outliers: str
    slices: tuple[tuple[Slice, str], ...]
    worst: bool

    @property
    def records(self) -> tuple[ExposedRecord, ...]:
        """Return the most exposed records."""
        return self.membership.most_exposed


def exposed(findings: Iterable[Finding]) -> list[Exposed]:
    """Return what is told of memberships, in the order of the findings."""
    jobs: set[str] = set()
    told: list[Exposed] = []
    for finding in findings:
        if finding.membership is None:
            continue
        told.append(_exposed(finding, finding.membership, worst=finding.task not in jobs))
        jobs.add(finding.task)
    return told


def sentences(findings: Iterable[Finding]) -> list[str]:
    """Return for each job what the attack on membership that did best means, and its name."""
    return [
        f"{e.finding.task}, {e.finding.attack} by {e.finding.observer}: {e.sentence}"
        for e in exposed(findings)
        if e.worst
    ]


def _exposed(finding: Finding, membership: Membership, *, worst: bool) -> Exposed:
    return Exposed(
        finding=finding,
        membership=membership,
        figure=curve_figure(finding, finding.curve) if finding.curve else None,
        sentence=membership_sentence(finding, membership),
        rates=_rates(finding, membership),
        outliers=_outliers(membership),
        slices=tuple((s, _difference(s, membership.tests)) for s in membership.slices),
        worst=worst,
    )


def membership_sentence(finding: Finding, membership: Membership) -> str:
    """Return what the finding means, for somebody who knows no statistics.

    It speaks of 1 wrongly accused in 100 where there are outsiders enough to tell; else of 1 in
    10; else of pairs.
    """
    usable = {f.fpr: f for f in membership.found if f.value is not None and f.ci is not None}
    found = usable.get(0.01) or usable.get(0.1)
    if found is None or found.value is None or found.ci is None:
        low, high = (100 * x for x in finding.ci)
        doubt = "" if low > 50 else ", so this may be chance"
        return (
            "Shown one record of the training data and one of an outsider, the attacker picks the "
            f"right one {100 * finding.value:.0f} times in 100 [{low:.0f}, {high:.0f}]; a coin "
            f"does 50 times{doubt}."
        )
    guess = max(found.fpr, found.null or 0.0)
    beside = f"without what it saw it would find {_of_100(guess)}"
    if found.ci[0] <= guess:
        beside += ", so this may be chance" if found.value > guess else ", no fewer"
    return (
        f"Of 100 records in the training data, an attacker who may wrongly accuse "
        f"{100 * found.fpr:.0f} of 100 outsiders finds {_of_100(found.value)} "
        f"[{_of_100(found.ci[0])}, {_of_100(found.ci[1])}]; {beside}."
    )


def _of_100(share: float) -> str:
    """Return how many of 100, with a digit where there are few.

    >>> [_of_100(x) for x in (0.234, 0.0312, 0.0)]
    ['23', '3.1', '0']
    """
    number = 100 * share
    return f"{number:.0f}" if number >= 9.95 else f"{number:.1f}".removesuffix(".0")


def _rates(finding: Finding, membership: Membership) -> tuple[Rate, ...]:
    """Return the figures of merit, those that tell most first."""
    return (
        *(_found(f) for f in membership.found),
        Rate(
            name="AUC",
            value=figure(finding.value),
            limits=limits(finding.ci),
            null=figure(finding.null),
        ),
        Rate(
            name="balanced accuracy",
            value=figure(membership.balanced_accuracy),
            limits=limits(membership.balanced_accuracy_ci),
            null="",
        ),
    )


def _found(found: FoundAt) -> Rate:
    name = f"found at {percent(found.fpr)} FPR"
    if found.value is None or found.ci is None:
        return Rate(name=name, value="", limits="", null="", withheld=f"withheld: {found.withheld}")
    return Rate(
        name=name,
        value=percent(found.value),
        limits=f"[{percent(found.ci[0])}, {percent(found.ci[1])}]",
        null="" if found.null is None else percent(found.null),
    )


def _outliers(membership: Membership) -> str:
    found = membership.outliers
    if found is None:
        return ""
    amount = f"rank correlation {figure(found.correlation)} {limits(found.ci)}, n {found.n:,}"
    if not found.beyond_chance:
        return f"Whether outliers are exposed more can't be told from chance ({amount})."
    who = "outliers" if found.correlation > 0 else "ordinary records"
    return (
        f"The more of an outlier, the {'more' if found.correlation > 0 else 'less'} exposed: it is "
        f"{who} that the attack tells more surely than without what it saw ({amount}; distance to "
        "the nearest auxiliary record)."
    )


def _difference(groups: Slice, tests: int) -> str:
    """Return whether groups differ, and how sure that is."""
    if not groups.p_values:
        return "Too few groups are large enough to be compared."
    shown = "; ".join(f"{metric(k)}: p {_p(p)}" for k, p in groups.p_values.items())
    corrected = f"{shown}; corrected for {tests} test{'' if tests == 1 else 's'}"
    if not groups.differ:
        return f"No difference beyond chance ({corrected})."
    told = " and ".join(metric(k) for k in groups.differ)
    return f"The groups differ beyond chance in {told} ({corrected})."


def _p(value: float) -> str:
    return f"= {value:.2g}" if value >= 1e-4 else "< 0.0001"


def group_bar(group: Group) -> Bar:
    """Place a group's AUC on an axis from 0 to 1."""
    axis = LinearAxis(0.0, 1.0, MARGIN, BAR - MARGIN)
    return Bar(
        value=axis.at(group.auc),
        low=axis.at(group.auc_ci[0]),
        high=axis.at(group.auc_ci[1]),
        half=axis.at(0.5),
        description=f"AUC {figure(group.auc)}, 95 % limits {limits(group.auc_ci)}",
    )
