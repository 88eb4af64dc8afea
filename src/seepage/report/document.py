"""The report as plain data in the order of the page, for what sets it elsewhere."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ..core.privacy import EpsilonRecord
from ..core.results import LEAK, Finding, Result
from . import budget, digest, plan_facts, words
from .curve_figure import MOST, beside_guarantees
from .exposed import SHOWN, Exposed, exposed, group_bar
from .guarantees import tested
from .interval_figure import interval_figure
from .pictures import GALLERIES, Gallery, galleries
from .protocols import MEASURED
from .sum_in_force import sum_in_force
from .utility import utility_rows
from .vector import bar_image, curve_image, gallery_image, interval_image, legend_images


def document(result: Result) -> dict[str, Any]:
    """Return all that a report says, its figures as SVG text; JSON types only."""
    findings = digest.ranked(result.findings)
    tolerance = digest.tolerance(result)
    told = exposed(findings)
    curves = beside_guarantees(findings)
    drawn = galleries(result)
    summed = sum_in_force(result)
    return {
        **_head(result, findings),
        "tolerance": words.percent(tolerance),
        "legend": [{"svg": svg, "meaning": meaning} for svg, meaning in legend_images()],
        "gated": [_finding(f, tolerance) for f in findings if f.gated],
        "ungated": [_finding(f, tolerance) for f in findings if not f.gated],
        "galleries": [_gallery(g) for g in drawn[:GALLERIES]],
        "exposed": [_exposed(e) for e in told[:SHOWN]],
        "more_exposed": max(len(told) - SHOWN, 0),
        "privacy": [_record(r) for r in result.privacy],
        "guarantees": [f"{t.task}: {tested(t)}" for t in result.guarantees],
        "curves": [
            {
                "title": _place(f.finding),
                "svg": curve_image(f),
                "summary": f.summary,
                "x": f.x_name,
                "y": f.y_name,
            }
            for f in curves[:MOST]
        ],
        "summed": {**asdict(summed), "measured": MEASURED} if summed else None,
        "utility": utility_rows(result.utility),
        "cost": plan_facts.cost_rows(result.cost),
        "not_run": [
            {
                "attack": n.attack,
                "where": " · ".join(filter(None, (n.task, n.observer, n.moment))),
                "reason": n.reason,
                "counts": "yes" if n.gated else "no",
            }
            for n in result.not_run
        ],
        "facts": plan_facts.job_facts(result),
        "metrics": [
            words.METRICS[m][0::2]
            for m in dict.fromkeys(f.metric for f in findings)
            if m in words.METRICS
        ],
        "replay": result.replay,
        "address": result.address,
        "source": result.source or "given in Python",
        "versions": list(result.versions.items()),
    }


def _head(result: Result, findings: list[Finding]) -> dict[str, Any]:
    word, plain = digest.VERDICTS[result.verdict]
    counted = (f for f in findings if digest.counts(f) and f.verdict == LEAK)
    worst = next(counted, None)
    tally = digest.tally(result)
    return {
        "title": result.plan.get("name", "a federated job"),
        "seepage": result.versions.get("seepage", ""),
        "seed": result.seed,
        "verdict": result.verdict,
        "word": word,
        "plain": plain,
        "worst": f"{worst.attack} by {worst.observer} on {worst.task}: {worst.reason}."
        if worst
        else "",
        "reason": words.sentence(result.reason) + ".",
        "tally": [
            (tally.leak, "leak" if tally.leak == 1 else "leaks"),
            (tally.inconclusive, "inconclusive"),
            (tally.clear, "clear"),
            (tally.accepted, "accepted"),
            (tally.not_run, "did not run"),
            (tally.ungated, "measured, not counted"),
        ],
        "cautions": [
            {"title": c.title, "meaning": c.meaning, "items": c.items}
            for c in digest.cautions(result)
        ],
    }


def _place(finding: Finding) -> list[str]:
    where = " · ".join((finding.task, finding.observer, finding.moment))
    return [finding.attack, where]


def _finding(f: Finding, tolerance: float) -> dict[str, Any]:
    control = f.control
    return {
        "place": _place(f),
        "metric": words.metric(f.metric),
        "tone": f.verdict if f.accepted is None else "accepted",
        "verdict": f.verdict,
        "value": words.figure(f.value),
        "ci": words.limits(f.ci),
        "svg": interval_image(interval_figure(f, tolerance), f.verdict),
        "null": words.figure(f.null),
        "prior": words.figure(f.prior),
        "control": "none" if control.kind == "none" else words.figure(control.value),
        "control_kind": "" if control.kind == "none" else control.kind,
        "blunt": control.kind != "none" and not control.leaked,
        "bound": "–" if f.bound is None else words.figure(f.bound),
        "n": f"{f.n:,}",
        "units": f"{f.units:,} draws",
        "gain": words.figure(f.gain),
        "gain_ci": words.limits(f.gain_ci),
        "reason": words.sentence(f.reason) + ".",
        "accepted": f.accepted or "",
        "worst_case": f.worst_case,
        "id": f.id,
        "details": plan_facts.measured_details(f.details),
    }


def _gallery(gallery: Gallery) -> dict[str, Any]:
    shown = "blurred" if gallery.blurred else "real records, shown on request"
    return {
        "place": _place(gallery.finding),
        "svg": gallery_image(gallery) if gallery.rows else "",
        "mark": f"left out: {gallery.problem}" if gallery.problem else shown,
    }


def _exposed(e: Exposed) -> dict[str, Any]:
    """Return an attack's memberships; records and groups of the best one on each job only."""
    return {
        "place": _place(e.finding),
        "sentence": e.sentence,
        "svg": curve_image(e.figure) if e.figure else "",
        "x": e.figure.x_name if e.figure else "",
        "y": e.figure.y_name if e.figure else "",
        "rates": [
            [words.sentence(r.name), r.value, r.limits, r.null or "–", r.withheld] for r in e.rates
        ],
        "members": f"{e.membership.members:,}",
        "others": f"{e.membership.others:,}",
        "worst": e.worst,
        "outliers": e.outliers,
        "records": [
            [
                str(r.row),
                r.client,
                words.percent(r.fpr),
                _percents(r.ci),
                words.percent(r.null_fpr),
                "–" if r.farther_than is None else words.percent(r.farther_than),
            ]
            for r in e.records
            if e.worst
        ],
        "slices": [
            {
                "by": s.by,
                "said": said,
                "differ": bool(s.differ),
                "left_out": s.left_out,
                "groups": [
                    {
                        "name": g.name,
                        "members": f"{g.members:,}",
                        "others": f"{g.others:,}",
                        "svg": bar_image(group_bar(g), e.finding.verdict),
                        "auc": words.figure(g.auc),
                        "ci": words.limits(g.auc_ci),
                        "tpr": ""
                        if g.tpr_at_1pct_fpr is None
                        else words.percent(g.tpr_at_1pct_fpr),
                        "tpr_ci": _percents(g.tpr_at_1pct_fpr_ci) if g.tpr_at_1pct_fpr_ci else "",
                        "withheld": g.withheld,
                    }
                    for g in s.groups
                ],
            }
            for s, said in e.slices
            if e.worst
        ],
    }


def _percents(ci: tuple[float, float]) -> str:
    return f"[{words.percent(ci[0])}, {words.percent(ci[1])}]"


def _record(r: EpsilonRecord) -> dict[str, Any]:
    facts = [
        ("Protects", f"one {r.unit}, {r.adjacency} adjacency"),
        ("Against", r.observer),
        ("δ of the total", f"{r.delta:g}"),
        ("μ of Gaussian DP", "–" if r.mu is None else words.epsilon(r.mu)),
        *((words.sentence(what), f"at most {most}") for what, most in budget.ceilings(r)),
        ("Accountant", r.accountant),
        ("Seed of the noise", r.noise),
    ]
    if r.bayesian_epsilon is not None:
        facts.append(("Bayesian ε", f"{words.epsilon(r.bayesian_epsilon)} ({budget.BAYESIAN})"))
    return {
        "mechanism": r.mechanism,
        "task": r.task,
        "unit": r.unit,
        "total": words.epsilon(r.total_epsilon),
        "each": words.epsilon(r.per_release_epsilon),
        "releases": f"{r.releases:,}",
        "facts": facts,
        "trust": r.trust,
        "rero": [(prior, words.percent(bound)) for prior, bound in r.rero.items()],
    }
