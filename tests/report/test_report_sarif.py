"""SARIF: what the standard requires, where alerts stand, and that they stay the same alerts."""

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
from report_fixture import findings

from seepage.core.results import Result
from seepage.report import sarif

TEXT = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}
SARIF = {
    "type": "object",
    "required": ["version", "runs"],
    "properties": {
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["tool", "results"],
                "properties": {
                    "tool": {
                        "required": ["driver"],
                        "properties": {
                            "driver": {
                                "required": ["name", "rules"],
                                "properties": {
                                    "rules": {
                                        "uniqueItems": True,
                                        "items": {
                                            "required": ["id"],
                                            "properties": {"shortDescription": TEXT},
                                        },
                                    }
                                },
                            }
                        },
                    },
                    "invocations": {"items": {"required": ["executionSuccessful"]}},
                    "results": {
                        "items": {
                            "required": ["ruleId", "message", "level", "locations"],
                            "properties": {
                                "message": TEXT,
                                "ruleIndex": {"type": "integer", "minimum": 0},
                                "level": {"enum": ["none", "note", "warning", "error"]},
                                "partialFingerprints": {"additionalProperties": {"type": "string"}},
                                "suppressions": {
                                    "items": {
                                        "required": ["kind"],
                                        "properties": {
                                            "kind": {"enum": ["inSource", "external"]},
                                            "status": {
                                                "enum": ["accepted", "underReview", "rejected"]
                                            },
                                        },
                                    }
                                },
                                "locations": {
                                    "minItems": 1,
                                    "items": {
                                        "required": ["physicalLocation"],
                                        "properties": {
                                            "physicalLocation": {
                                                "required": ["artifactLocation", "region"],
                                                "properties": {
                                                    "region": {
                                                        "properties": {"startLine": {"minimum": 1}}
                                                    },
                                                    "artifactLocation": {
                                                        "properties": {
                                                            "uri": {"pattern": "^[^ /:][^ :]*$"}
                                                        }
                                                    },
                                                },
                                            }
                                        },
                                    },
                                },
                            },
                        }
                    },
                },
            },
        },
    },
}


def test_sarif_holds_what_counts(result: Result) -> None:
    log = json.loads(sarif.render(result))
    jsonschema.Draft202012Validator(SARIF).validate(log)
    alerts, rules = log["runs"][0]["results"], log["runs"][0]["tool"]["driver"]["rules"]
    assert [a["level"] for a in alerts] == ["error"] * 2 + ["warning"] * 2 + ["error", "warning"]
    for alert in alerts:
        assert rules[alert["ruleIndex"]]["id"] == alert["ruleId"]
    suppressed = [a for a in alerts if "suppressions" in a]
    assert [a["ruleId"] for a in suppressed] == ["label-counts"]
    place = next(a for a in alerts if a["ruleId"] == "inverting-gradients")["locations"][0]
    assert place["physicalLocation"] == {
        "artifactLocation": {"uri": "plans/clinic%20north.toml"},
        "region": {"startLine": 12},
    }


def test_sarif_locates_api_runs_and_absolute_plans(result: Result) -> None:
    for source, uri in (
        ("pyproject.toml", "pyproject.toml"),
        ("", "pyproject.toml"),
        ("quickstart", "pyproject.toml"),
        ("/somewhere/else/plan.toml", "plan.toml"),
        (str(Path.cwd() / "a/plan.toml"), "a/plan.toml"),
    ):
        alerts = json.loads(sarif.render(replace(result, source=source)))["runs"][0]["results"]
        place = alerts[0]["locations"][0]["physicalLocation"]
        assert place["artifactLocation"]["uri"] == uri


def test_sarif_fingerprints_depend_on_the_finding_alone(result: Result) -> None:
    def prints(r: Result) -> dict[str, str]:
        alerts = json.loads(sarif.render(r))["runs"][0]["results"]
        return {
            a["locations"][0]["logicalLocations"][0]["fullyQualifiedName"]: a[
                "partialFingerprints"
            ]["seepageFinding/v1"]
            for a in alerts
        }

    moved = tuple(
        replace(f, value=0.5, reason="other", verdict="leak", details={"line": 99})
        for f in reversed(findings())
    )
    later = replace(result, findings=moved, seed=8, address="other", source="moved.toml")
    before, after = prints(result), prints(later)
    assert len(set(before.values())) == len(before) == 6
    assert {k: after[k] for k in before} == before
