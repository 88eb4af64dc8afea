"""Every format renders the same result, parses, and can't be broken by hostile text."""

import json
import re
import subprocess
import sys
from dataclasses import fields, replace
from importlib.util import find_spec
from math import nan
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import pytest
from report_fixture import HOSTILE, IMAGES, findings

from seepage.core.exposed import ExposedRecord, FoundAt, Group, Membership, Outliers, Slice
from seepage.core.guarantees import GuaranteeTest
from seepage.core.privacy import EpsilonRecord
from seepage.core.registry import cards
from seepage.core.results import Control, Curve, Finding, NotRun, Result
from seepage.report import json_file, junit, markdown, sarif
from seepage.report.cards import CARDS
from seepage.report.schema import schema

VALIDATOR = jsonschema.Draft202012Validator(schema())


def test_every_card_loads_and_save_writes_by_suffix(result: Result, tmp_path: Path) -> None:
    assert {c.name: c.parameters[0].default for c in CARDS} == {
        "json": ".json",
        "html": ".html",
        "junit": ".xml",
        "sarif": ".sarif",
        "md": ".md",
        "pdf": ".pdf",
    }
    for card in cards("formats").values():
        if card.name == "pdf" and find_spec("typst") is None:
            continue  # what it says without typst is tested beside it
        path = result.save(tmp_path / f"out/report{card.parameters[0].default}")
        content = card.load()(result)
        assert path.read_bytes() == (content if isinstance(content, bytes) else content.encode())


def test_json_meets_the_schema_and_comes_back_whole(result: Result) -> None:
    VALIDATOR.check_schema(schema())
    data = json.loads(json_file.render(result))
    VALIDATOR.validate(data)
    back = Result.from_json(data)
    assert back.findings == result.findings
    assert (back.privacy, back.not_run) == (result.privacy, result.not_run)
    assert back.guarantees == result.guarantees != ()
    assert json_file.render(back) == json_file.render(result)


def test_schema_names_every_field_and_no_other() -> None:
    found = schema()
    for cls, part in (
        (Result, found),
        (Finding, found["$defs"]["finding"]),
        (Control, found["$defs"]["control"]),
        (NotRun, found["$defs"]["not_run"]),
        (EpsilonRecord, found["$defs"]["epsilon_record"]),
        (GuaranteeTest, found["$defs"]["guarantee_test"]),
        (Curve, found["$defs"]["curve"]),
        (Membership, found["$defs"]["membership"]),
        (FoundAt, found["$defs"]["found_at"]),
        (ExposedRecord, found["$defs"]["exposed_record"]),
        (Outliers, found["$defs"]["outliers"]),
        (Slice, found["$defs"]["slice"]),
        (Group, found["$defs"]["group"]),
    ):
        names = {f.name for f in fields(cls)} - {"folder"}
        assert set(part["properties"]) == names == set(part["required"])


@pytest.mark.parametrize(
    ("where", "wrong"),
    [
        ("value", None),
        ("value", "unbounded"),
        ("ci", [0.1]),
        ("verdict", "pass"),
        ("observer", "nobody"),
        ("surprise", 1),
        ("control", {"kind": "twin"}),
    ],
)
def test_schema_refuses(result: Result, where: str, wrong: object) -> None:
    data = json.loads(json_file.render(result))
    data["findings"][0][where] = wrong
    assert not VALIDATOR.is_valid(data)


def test_json_refuses_what_is_no_number(result: Result) -> None:
    broken = replace(result, findings=(replace(result.findings[0], value=nan),))
    with pytest.raises(ValueError, match="nan"):
        json_file.render(broken)


def test_junit_fails_what_is_not_earned(result: Result) -> None:
    root = ET.fromstring(junit.render(result))
    suite = root[0]
    cases = {c.get("name"): c for c in suite.iter("testcase")}
    assert len(cases) == 9 == int(suite.get("tests", ""))

    def outcome(case: ET.Element) -> list[tuple[str, str | None]]:
        return [(e.tag, e.get("type")) for e in case if e.tag != "system-out"]

    assert outcome(cases[IMAGES]) == [("failure", "leak")]
    assert outcome(cases["wine/peer-client/model-difference/training/auc"]) == [
        ("failure", "inconclusive")
    ]
    assert outcome(cases["wine/honest-server/dlg/start/identification_rate"]) == []
    assert outcome(cases["digits/honest-server/label-counts/start/label_rate"]) == [
        ("skipped", None)
    ]
    assert outcome(cases["digits/honest-server/inverting-gradients/start/psnr"]) == []
    assert outcome(cases["wine/honest-server/closed-form/start"]) == [("error", "not-run")]
    assert outcome(cases["digits/model-user/lira/final"]) == [("skipped", None)]
    for tag, attribute in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        assert len(list(suite.iter(tag))) == int(suite.get(attribute, "")) > 0
    assert cases[IMAGES].get("classname") == "digits.honest-server"


def test_junit_and_sarif_never_read_as_a_pass_when_it_is_none(result: Result) -> None:
    silent = replace(result, verdict="inconclusive", reason="why", findings=(), not_run=())
    assert ET.fromstring(junit.render(silent))[0].get("failures") == "1"
    assert len(json.loads(sarif.render(silent))["runs"][0]["results"]) == 1
    passed = replace(silent, verdict="pass")
    assert ET.fromstring(junit.render(passed))[0].get("failures") == "0"
    assert json.loads(sarif.render(passed))["runs"][0]["results"] == []


def test_markdown_is_a_table_that_text_can_not_break(result: Result) -> None:
    text = markdown.render(result)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 6
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {10}
    outside_code = re.sub(r"`[^`]*`", "", text)
    assert not re.search(r"<(?!ticket)", outside_code.replace("&lt;", ""))
    assert "@all" not in outside_code
    assert "replay: `seepage audit" in text.lower()
    assert "ε 73.6 in total over 500 releases (ε 1.5 each)" in text
    assert "closed-form" in text


def test_rendering_imports_no_torch(result: Result, tmp_path: Path) -> None:
    result.save(tmp_path / "result.json")
    code = (
        "import sys\n"
        "from seepage.core.results import Result\n"
        "from seepage.report.table import print_result\n"
        "from rich.console import Console\n"
        f"r = Result.load({str(tmp_path)!r})\n"
        "for s in ('json', 'html', 'xml', 'sarif', 'md'):\n"
        f"    r.save({str(tmp_path)!r} + '/report.' + s)\n"
        "print_result(r, Console(width=100))\n"
        "assert 'torch' not in sys.modules and 'scipy' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_cards_import_light() -> None:
    code = (
        "import sys, seepage.report.cards\n"
        "heavy = {'torch', 'numpy', 'scipy', 'jinja2', 'rich', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_hostile_text_is_in_the_fixture() -> None:
    assert any(f.attack == HOSTILE for f in findings())


def test_canaries_say_what_they_showed_and_what_they_could_have_shown(result: Result) -> None:
    (test,) = result.guarantees
    said = markdown.render(result)
    assert "not refuted: claimed epsilon 8" in said
    assert "at least 1.25 was shown, where 4.4 would show if it is exactly true" in said
    broken = replace(result, guarantees=(replace(test, epsilon=8.5),))
    assert "REFUTED: claimed epsilon 8" in markdown.render(broken)
