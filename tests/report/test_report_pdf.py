"""The document: what the page says, set by typst, in which text is never markup."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from report_fixture import HOSTILE

from seepage.cli.main import run as run_command
from seepage.core.results import Result
from seepage.report import html
from seepage.report.document import document

TEMPLATE = files("seepage.report").joinpath("templates/report.typ").read_bytes()
EVIL = '#panic("no")\n= Injected\n$x$ *b* _i_ `r` <l> @r // /* \\ [ ] { } "'


def texts(value: Any) -> list[str]:
    """All texts of the document."""
    if isinstance(value, dict):
        return [t for part in value.values() for t in texts(part)]
    if isinstance(value, list | tuple):
        return [t for part in value for t in texts(part)]
    return [value] if isinstance(value, str) else []


def made(result: Result) -> bytes:
    """The PDF."""
    from seepage.report import pdf

    return pdf.render(result)


def test_the_document_says_what_the_page_says(run: Result) -> None:
    told = document(run)
    whole = "\n".join(texts(told))
    page = re.sub(r"<[^>]*>", "", html.render(run).replace("&#39;", "'"))
    for text in (
        *("Positive control did not leak", "finds 23 [20, 26]", "73.6", "99.96 %", "singular"),
        *("not refuted: claimed epsilon 8", "0.31 [0.25, 0.37]", "withheld: 1,100 non-members"),
    ):
        assert text in whole, text
        assert text in page, text
    assert [len(told[k]) for k in ("gated", "ungated", "galleries", "curves")] == [6, 1, 2, 1]
    assert sum(bool(e["records"]) for e in told["exposed"]) == 1  # of the best attack on each job
    json.dumps(told)


def test_figures_are_whole_svg_files_without_a_style_sheet(run: Result) -> None:
    drawings = [t for t in texts(document(run)) if t.startswith("<svg")]
    assert len(drawings) == 7 + 6 + 2 + 2 + 2 + 1  # findings, legend, galleries, ROC, bars, curve
    for drawing in drawings:
        assert ET.fromstring(drawing).tag == "{http://www.w3.org/2000/svg}svg"
        assert "var(" not in drawing
        assert not re.search(r'(href|src)="(?!data:image/png;base64,)', drawing)


def test_typst_sets_it_the_same_twice_and_loads_nothing(run: Result) -> None:
    pytest.importorskip("typst", reason="typst is not installed (the extra `pdf`)")
    first = made(run)
    assert first.startswith(b"%PDF-")
    assert first == made(run)
    assert b"@preview" not in TEMPLATE
    assert b"http" not in TEMPLATE


def test_text_is_never_markup(result: Result) -> None:
    typst = pytest.importorskip("typst", reason="typst is not installed (the extra `pdf`)")

    from seepage.report import pdf

    def headings(shown: Result) -> list[str]:
        """Ask typst for the headings that it set."""
        content = json.dumps(pdf._clean(document(shown)))
        found = typst.query(TEMPLATE, "heading", sys_inputs={"report": content})
        return [str(h["body"]) for h in json.loads(found)]

    evil = replace(
        result,
        plan={**result.plan, "name": EVIL},
        reason=EVIL,
        replay=EVIL,
        findings=tuple(replace(f, reason=EVIL, task=EVIL) for f in result.findings),
        not_run=tuple(replace(n, reason=EVIL) for n in result.not_run),
    )
    plain = headings(result)
    assert "Injected" not in "".join(headings(evil))
    assert headings(evil)[:2] == plain[:2]
    assert EVIL in texts(pdf._clean(document(evil)))
    assert not any("\x1b" in t for t in texts(pdf._clean(document(result))))
    assert any(HOSTILE[:20] in t for t in texts(document(result)))


def test_a_bare_result_is_set_too(result: Result) -> None:
    pytest.importorskip("typst", reason="typst is not installed (the extra `pdf`)")
    bare = replace(
        result, plan={}, findings=(), privacy=(), not_run=(), utility={}, cost={}, guarantees=()
    )
    assert made(bare).startswith(b"%PDF-")


def test_without_typst_one_line_says_what_to_install_before_anything_runs(
    result: Result,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    result.save(tmp_path / "result.json")
    monkeypatch.setitem(sys.modules, "typst", None)
    monkeypatch.delitem(sys.modules, "seepage.report.pdf", raising=False)
    for command in (
        ["report", str(tmp_path), "--format", "pdf"],
        ["audit", "quickstart", "--format", "pdf", "--out", str(tmp_path / "never")],
    ):
        assert run_command(command) == 2
        said = capsys.readouterr().err
        assert said == "seepage: a report as PDF needs an extra: pip install 'seepage[pdf]'\n"
    assert not (tmp_path / "never").exists()


def test_the_command_writes_where_it_is_told(
    result: Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("typst", reason="typst is not installed (the extra `pdf`)")
    result.save(tmp_path / "result.json")
    out = tmp_path / "x.pdf"
    assert run_command(["report", str(tmp_path), "--format", "pdf", "--out", str(out)]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    assert out.read_bytes().startswith(b"%PDF-")
    folder = tmp_path / "both"
    run_command(["report", str(tmp_path), "--format", "md,pdf", "--out", str(folder)])
    assert sorted(p.name for p in folder.iterdir()) == ["report.md", "report.pdf"]
