"""SARIF 2.1.0 (OASIS Standard, 2020): findings as code-scanning alerts at the plan's lines.

A rule is an attack. A gated leak is an error; a gated finding that is inconclusive, or a
gated cell that did not run, is a warning; accepted ones are suppressed. Fingerprints
depend on the finding's id only, so an alert stays the same alert from run to run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..core.errors import UsageError
from ..core.registry import cards
from ..core.results import CLEAR, LEAK, PASS, Finding, NotRun, Result
from .digest import ranked
from .words import figure, limits, metric

_SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_AUDIT = "audit"


def render(result: Result) -> str:
    """Return the log as JSON text."""
    alerts = [
        _finding(f, result) for f in ranked(result.findings) if f.gated and f.verdict != CLEAR
    ]
    alerts += [_not_run(n, result) for n in result.not_run if n.gated]
    if result.verdict != PASS and all("suppressions" in a for a in alerts):
        level = "error" if result.verdict == LEAK else "warning"
        alerts.append(_alert(_AUDIT, "audit", level, result.reason, 1, result))
    rules = list(dict.fromkeys(a["ruleId"] for a in alerts))
    for alert in alerts:
        alert["ruleIndex"] = rules.index(alert["ruleId"])
    driver = {
        "name": "seepage",
        "version": result.versions.get("seepage", "unknown"),
        "rules": [_rule(name) for name in rules],
    }
    run = {
        "tool": {"driver": driver},
        "automationDetails": {"id": f"seepage/{result.plan.get('name', 'audit')}/"},
        "invocations": [{"executionSuccessful": True, "commandLine": result.replay}],
        "results": alerts,
        "properties": {
            "verdict": result.verdict,
            "reason": result.reason,
            "address": result.address,
            "seed": result.seed,
        },
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _finding(finding: Finding, result: Result) -> dict[str, Any]:
    text = (
        f"{finding.observer} on {finding.task}, {metric(finding.metric)} "
        f"{figure(finding.value)} {limits(finding.ci)}: {finding.reason}"
    )
    alert = _alert(
        finding.attack,
        finding.id,
        "error" if finding.verdict == LEAK else "warning",
        text,
        finding.details.get("line", 1),
        result,
    )
    alert["properties"] = {
        "verdict": finding.verdict,
        "value": finding.value,
        "gain": finding.gain,
        "gainLimits": list(finding.gain_ci),
    }
    if finding.accepted is not None:
        alert["suppressions"] = [
            {"kind": "external", "status": "accepted", "justification": finding.accepted}
        ]
    return alert


def _not_run(cell: NotRun, result: Result) -> dict[str, Any]:
    name = f"{cell.task}/{cell.observer}/{cell.attack}/{cell.moment}"
    text = f"did not run against {cell.observer} on {cell.task}: {cell.reason}"
    return _alert(cell.attack, name, "warning", text, 1, result)


def _alert(
    rule: str, name: str, level: str, text: str, line: Any, result: Result
) -> dict[str, Any]:
    location = {
        "artifactLocation": {"uri": _uri(result.source)},
        "region": {"startLine": line if isinstance(line, int) and line > 0 else 1},
    }
    return {
        "ruleId": rule,
        "level": level,
        "message": {"text": text},
        "locations": [
            {
                "physicalLocation": location,
                "logicalLocations": [{"fullyQualifiedName": name, "kind": "member"}],
            }
        ],
        "partialFingerprints": {"seepageFinding/v1": sha256(name.encode()).hexdigest()},
    }


def _uri(source: str) -> str:
    """Return a relative URI of the plan; what was given in Python stands at pyproject.toml."""
    if not source.endswith(".toml"):
        return "pyproject.toml"
    path = Path(source)
    if path.is_absolute():
        here = Path.cwd()
        path = path.relative_to(here) if path.is_relative_to(here) else Path(path.name)
    return quote(path.as_posix())


def _rule(name: str) -> dict[str, Any]:
    try:
        known: Mapping[str, Any] = cards("attacks")
    except (ImportError, UsageError):
        known = {}
    card = known.get(name)
    summary = "The audit did not pass." if name == _AUDIT else f"The attack {name}."
    rule: dict[str, Any] = {
        "id": name,
        "shortDescription": {"text": card.summary if card else summary},
        "properties": {"tags": ["privacy", "security"]},
    }
    if card and card.reference:
        rule["fullDescription"] = {"text": f"{card.summary} ({card.reference})"}
    return rule
