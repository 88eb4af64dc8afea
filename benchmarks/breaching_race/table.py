"""The race as markdown: the ratio of median CPU seconds to each target."""

from __future__ import annotations

import json
import math
from statistics import median
from typing import Any

from .cases import Contest
from .runs import TARGETS, seconds_to

_HEAD = (
    "| contest | target | ours, CPU s | reached | breaching, CPU s | reached | ratio | goal | |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


def report(records: list[dict[str, Any]], optimized: tuple, analytic: tuple) -> str:
    """Return a table for each number of restarts and training steps in the records.

    Of several lines with one case the last counts.
    """
    records = list({json.dumps({**r["key"], "code": 0}): r for r in records}.values())
    if not records:
        return "No results."
    groups = sorted({(r["key"]["restarts"], r["key"]["train"]) for r in records})
    parts = []
    for restarts, train in groups:
        held = [
            r for r in records if (r["key"]["restarts"], r["key"]["train"]) == (restarts, train)
        ]
        title = f"{restarts} restart{'s' * (restarts > 1)}, victims after {train} SGD steps"
        parts += [f"### Optimization: {title}", _targets(held, optimized)]
        parts += [
            "### Where the time goes, and breaching's configuration",
            _profile(held, optimized),
        ]
        if any(_cases(held, contest) for contest in analytic):
            parts += ["### Analytic attacks", _profile(held, analytic)]
    return "\n\n".join([_facts(records), *parts])


def ratio_of_medians(ours: list[float], theirs: list[float]) -> float:
    """Return median(ours) / median(theirs): 0 where only ours is finite, NaN where neither is.

    >>> ratio_of_medians([1.0, 2.0, 9.0], [4.0, math.inf, 8.0])
    0.25
    """
    a, b = median(ours), median(theirs)
    if math.isinf(a):
        return math.nan if math.isinf(b) else math.inf
    return a / b


def _cases(records: list[dict[str, Any]], contest: Contest) -> list[dict[str, Any]]:
    """Return the last line of each case of a contest, in order."""
    last = {
        r["key"]["number"]: r
        for r in records
        if r["key"]["kind"] == "case" and r["key"]["contest"] == contest.name
    }
    return [last[number] for number in sorted(last)]


def _targets(records: list[dict[str, Any]], contests: tuple[Contest, ...]) -> str:
    """Return the table of CPU seconds to each target."""
    rows = [_HEAD]
    for contest in contests:
        cases = _cases(records, contest)
        for target in (None, *TARGETS) if cases else ():
            times = {
                side: [seconds_to(c["runs"][side], target) for c in cases]
                for side in ("ours", "theirs")
            }
            ratio = ratio_of_medians(times["ours"], times["theirs"])
            name = "identified" if target is None else f"{target:.0f} dB"
            cells = [contest.name, name]
            for column in times.values():
                cells += [_span(column), f"{sum(map(math.isfinite, column))}/{len(column)}"]
            cells += [_ratio(ratio), _goal(contest), _verdict(ratio, contest)]
            rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def _profile(records: list[dict[str, Any]], contests: tuple[Contest, ...]) -> str:
    """Return the table of what was found, and at what cost a step."""
    rows = [
        "| contest | cases | prior, dB | ours: best dB | identified | ms a step | "
        "breaching: best dB | identified | ms a step | configuration |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for contest in contests:
        cases = _cases(records, contest)
        if not cases:
            continue
        cells = [contest.name, str(len(cases)), f"{median(c['prior_psnr'] for c in cases):.1f}"]
        for side in ("ours", "theirs"):
            climbs = [c["runs"][side] for c in cases]
            quality = median(max(run["psnr"] for run in climb) for climb in climbs)
            named = sum(max(run["identified"] for run in climb) for climb in climbs) / len(climbs)
            step = median(climb[-1]["seconds"] / climb[-1]["steps"] for climb in climbs)
            cells += [f"{quality:.1f}", f"{named:.2f}", f"{1000 * step:.2f}"]
        rows.append("| " + " | ".join([*cells, cases[-1]["key"]["variant"]]) + " |")
    return "\n".join(rows)


def _facts(records: list[dict[str, Any]]) -> str:
    """Return when, where and of what versions the records are."""
    last = records[-1]
    versions, machine = last["versions"], last["machine"]
    listed = {side: ", ".join(f"{k} {v}" for k, v in versions[side].items()) for side in versions}
    dates = sorted({r["date"] for r in records})
    loads = [r["load"] for r in records]
    codes = sorted({r["code"] for r in records})
    return "\n".join(
        [
            f"- measured {' to '.join(dict.fromkeys((dates[0], dates[-1])))}, one thread each, on "
            f"{machine['cores']} cores ({machine['cpu']}); load average "
            f"{min(loads):.1f} to {max(loads):.1f}",
            f"- ours: {listed['ours']}; attacks {', '.join(codes)}",
            f"- peer: {listed['peer']}",
        ]
    )


def _span(values: list[float]) -> str:
    """Return a median with the range of what is finite."""
    middle = median(values)
    finite = [v for v in values if math.isfinite(v)]
    if not finite:
        return "never"
    shown = f"{middle:.3g}" if math.isfinite(middle) else "not by half"
    return f"{shown} [{min(finite):.2g}, {max(finite):.2g}]"


def _ratio(ratio: float) -> str:
    """Return a ratio of medians in words where a side never arrived."""
    if math.isnan(ratio):
        return "neither"
    if ratio == 0:
        return "only ours"
    return "only breaching" if math.isinf(ratio) else f"{ratio:.3f}"


def _goal(contest: Contest) -> str:
    """Return a contest's goal."""
    return "< 1" if contest.goal == 1 else f"<= 1/{round(1 / contest.goal)}"


def _verdict(ratio: float, contest: Contest) -> str:
    """Return whether the goal is met, nothing where neither side arrived."""
    if math.isnan(ratio):
        return ""
    return "met" if ratio < 1 and ratio <= contest.goal else "**missed**"
