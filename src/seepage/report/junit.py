"""JUnit XML: a test case per finding, for continuous integration.

    leak, gated                      failure, type `leak`
    inconclusive, gated              failure, type `inconclusive` (a pass must be earned)
    not run, gated                   error, type `not-run`
    accepted by the plan             skipped, with the reason
    not run, not gated               skipped
    clear, or not gated              passed; figures and verdict in system-out

Where the audit did not pass and no case above says so, a case `audit.verdict` fails: a
pipeline must never read a pass out of a file that is none. A skipped test does not fail
a pipeline, so nothing that is gated is ever skipped unless a person accepted it.
"""

from __future__ import annotations

from xml.etree import ElementTree as ET

from ..core.results import CLEAR, PASS, Finding, NotRun, Result
from .digest import counts, ranked
from .words import figure, limits, metric, printable


def render(result: Result) -> str:
    """Return the XML text; its attributes count tests, failures, errors and skipped."""
    cases = [_finding(f) for f in ranked(result.findings)] + [_not_run(n) for n in result.not_run]
    if result.verdict != PASS and not any(_is(c, "failure") or _is(c, "error") for c in cases):
        case = _case("audit", "verdict", 0.0)
        _outcome(case, "failure", result.verdict, result.reason)
        cases.append(case)
    totals = {
        "tests": str(len(cases)),
        "failures": str(sum(_is(c, "failure") for c in cases)),
        "errors": str(sum(_is(c, "error") for c in cases)),
        "skipped": str(sum(_is(c, "skipped") for c in cases)),
        "time": f"{float(result.cost.get('seconds', 0.0)):.3f}",
    }
    root = ET.Element("testsuites", {"name": "seepage", **totals})
    name = printable(result.plan.get("name", "audit"))
    suite = ET.SubElement(root, "testsuite", {"name": name, **totals})
    properties = ET.SubElement(suite, "properties")
    for key, value in _properties(result).items():
        ET.SubElement(properties, "property", name=key, value=printable(value))
    suite.extend(cases)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, "unicode") + "\n"


def _properties(result: Result) -> dict[str, str]:
    return {
        "verdict": result.verdict,
        "reason": result.reason,
        "replay": result.replay,
        "address": result.address,
        "seed": str(result.seed),
    }


def _finding(finding: Finding) -> ET.Element:
    case = _case(f"{finding.task}.{finding.observer}", finding.id, finding.seconds)
    if finding.gated and finding.accepted is not None:
        why = f"{finding.verdict}; accepted because: {finding.accepted}"
        ET.SubElement(case, "skipped", message=printable(why))
    elif counts(finding) and finding.verdict != CLEAR:
        _outcome(case, "failure", finding.verdict, finding.reason)
    out = ET.SubElement(case, "system-out")
    out.text = printable(
        f"{finding.verdict}{'' if finding.gated else ' (does not count)'}: "
        f"{metric(finding.metric)} {figure(finding.value)} {limits(finding.ci)}, "
        f"null {figure(finding.null)}, prior {figure(finding.prior)}, "
        f"gain {figure(finding.gain)} {limits(finding.gain_ci)}, n {finding.n}; {finding.reason}"
    )
    return case


def _not_run(cell: NotRun) -> ET.Element:
    name = f"{cell.task}/{cell.observer}/{cell.attack}/{cell.moment}"
    case = _case(f"{cell.task}.{cell.observer}", name, 0.0)
    if cell.gated:
        _outcome(case, "error", "not-run", cell.reason)
    else:
        ET.SubElement(case, "skipped", message=printable(cell.reason))
    return case


def _case(place: str, name: str, seconds: float) -> ET.Element:
    return ET.Element(
        "testcase", classname=printable(place), name=printable(name), time=f"{seconds:.3f}"
    )


def _outcome(case: ET.Element, tag: str, kind: str, reason: str) -> None:
    element = ET.SubElement(case, tag, type=kind, message=printable(reason))
    element.text = printable(reason)


def _is(case: ET.Element, tag: str) -> bool:
    return case.find(tag) is not None
