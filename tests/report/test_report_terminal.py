"""What is printed: fits its width, obeys no hostile text, compares runs."""

import io
import json
import re
from dataclasses import replace

import pytest
from report_fixture import BASE, HOSTILE, IMAGES, quality
from rich.cells import cell_len
from rich.console import Console

from seepage.core.cards import AttackCard, Card, DefenseCard, Parameter
from seepage.core.results import Result
from seepage.core.threat import OBSERVERS, Capability, Observer
from seepage.report.compare import compare, print_comparison
from seepage.report.digest import cautions, tally
from seepage.report.table import cards_json, print_card, print_cards, print_result


def printed(width: int, *, color: bool = False) -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    console = Console(
        file=out, width=width, force_terminal=color, color_system="standard" if color else None
    )
    return console, out


@pytest.mark.parametrize("width", [100, 80])
def test_result_fits_its_width(run: Result, width: int) -> None:
    console, out = printed(width)
    print_result(run, console)
    lines = out.getvalue().splitlines()
    assert max(cell_len(line) for line in lines if not line.startswith("report: ")) <= width
    assert f"report: {run.folder}/report.html" in lines
    assert lines[0].startswith("LEAK")
    text = out.getvalue()
    assert "[0.91, 0.99]" in text
    assert "0.56!" in text
    assert "73.6 in total over 500 releases (1.5 each)" in " ".join(text.split())
    assert "unbounded in total" in text
    assert "Did not run" in text
    assert "replay: seepage audit" in text
    head = next(line for line in lines if line.startswith("finding"))
    assert ("moment" in head and "prior" in head) == (width == 100)


def test_markup_and_escapes_in_names_are_shown_not_obeyed(run: Result) -> None:
    console, out = printed(200, color=True)
    print_result(replace(run, reason="[bold]not bold[/bold] \x1b[31m"), console)
    assert "[bold]not bold[/bold] [31m" in out.getvalue()
    assert "\x00" not in out.getvalue()


def test_no_color_is_honored(run: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    console, out = printed(100, color=True)
    print_result(run, console)
    assert "\x1b[1;31m" in out.getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    console, out = printed(100, color=True)
    print_result(run, console)
    assert not re.search(r"\x1b\[[\d;]*3[0-7]m", out.getvalue())


def test_tally_counts_each_finding_once(result: Result) -> None:
    t = tally(result)
    assert (t.leak, t.inconclusive, t.clear, t.accepted, t.ungated, t.not_run) == (2, 2, 1, 1, 1, 2)
    assert t.leak + t.inconclusive + t.clear + t.accepted + t.ungated == len(result.findings)


def test_cautions_name_the_findings_they_are_about(result: Result) -> None:
    found = {c.title: c.items for c in cautions(result)}
    assert [i.split(" · ")[0] for i in found["Measured above its bound"]] == ["loss-threshold"]
    assert [i.split(" · ")[0] for i in found["Positive control did not leak"]] == [
        "model-difference"
    ]
    assert found["No positive control"][0].startswith(HOSTILE)
    assert "<ticket 7>" in found["Accepted by the plan"][0]
    assert "malicious-server" in found["No privacy guarantee"][0]
    calm = replace(result, findings=(BASE,), privacy=())
    assert cautions(calm) == []


def test_comparison_matches_by_id(result: Result) -> None:
    first, *rest = result.findings
    fixed = tuple(
        replace(f, value=0.02, ci=(0.0, 0.05), verdict="clear") if f.id == IMAGES else f
        for f in rest
    )
    worse = replace(rest[1], id=first.id, verdict="leak")
    added = replace(BASE, id="new/one")
    after = replace(result, verdict="inconclusive", findings=(worse, added, *fixed[:-1]))
    comparison = compare(result, after)
    kinds = {c.id: c.kind for c in comparison.changes}
    assert kinds[IMAGES] == "better"
    assert kinds[first.id] == "worse"
    assert kinds["new/one"] == "new"
    assert kinds[rest[-1].id] == "gone"
    assert list(kinds.values()).count("same") == len(rest) - 2
    assert comparison.changes[0].kind == "worse"
    assert str(comparison).startswith("verdict: leak -> inconclusive\nworse  ")
    assert json.loads(json.dumps(comparison.to_json()))["findings"][0]["kind"] == "worse"
    console, out = printed(90)
    print_comparison(comparison, console)
    assert max(map(cell_len, out.getvalue().splitlines())) <= 90
    assert "leak -> inconclusive" in out.getvalue()


def test_defenses_stand_side_by_side(result: Result) -> None:
    bounded = replace(BASE, bound=0.25)
    other = replace(
        result,
        plan={**result.plan, "defenses": [{"name": "local-dp", "settings": {"max_norm": 2.0}}]},
        utility={"undefended": {}, "defended": {"digits": quality(0.625)}},
        privacy=(),
        findings=(bounded,),
        cost={"seconds": 30.0},
    )
    rows = {what: (a, b) for what, a, b in compare(result, other).sides}
    assert rows["defenses"][1] == "local-dp (max_norm 2.0)"
    assert any(
        what.startswith("utility") and b.startswith("0.625 [") for what, (_, b) in rows.items()
    )
    assert any("epsilon of a" in what and b == "-" for what, (_, b) in rows.items())
    assert "bound 0.25" in str(compare(result, other)).replace("0.250", "0.25")


def test_same_verdict_changes_only_beyond_the_limits(result: Result) -> None:
    def kind(ci: tuple[float, float]) -> str:
        a = replace(result, findings=(replace(BASE, ci=(0.4, 0.6)),))
        return compare(a, replace(result, findings=(replace(BASE, ci=ci),))).changes[0].kind

    assert [kind((0.5, 0.7)), kind((0.61, 0.8)), kind((0.1, 0.39))] == ["same", "worse", "better"]


ATTACK = AttackCard(
    name="dlg",
    summary="Match gradients [bold].",
    implementation="m:DLG",
    reference="Zhu et al. 2019",
    year=2019,
    parameters=(Parameter(name="steps", default=300, summary="Iterations of L-BFGS."),),
    observers=(Observer.HONEST_SERVER,),
    needs=(Capability.SEES_CLIENT_UPDATES,),
    views=("update",),
    claims="reconstruction",
    adaptive_against=("topk",),
)
DEFENSE = DefenseCard(
    name="topk",
    summary="Send the largest entries.",
    implementation="m:TopK",
    mechanism="sparsification",
    guarantee="none",
    adaptive_attacks=("dlg",),
    settings={"share": 0.1},
)
PLAIN = Card(name="wine", summary="Chemistry of 178 wines.", implementation="m:f")


def test_cards_as_json_are_plain_and_complete() -> None:
    (attack,) = json.loads(json.dumps(cards_json("attacks", {"dlg": ATTACK})))
    assert attack["observers"] == ["honest-server"]
    assert attack["parameters"] == [
        {"name": "steps", "default": 300, "summary": "Iterations of L-BFGS."}
    ]
    assert {"name", "reference", "observers", "claims", "needs", "cost"} <= set(attack)
    assert cards_json("defenses", [DEFENSE])[0]["settings"] == {"share": 0.1}
    observer = json.loads(json.dumps(cards_json("observers", OBSERVERS.values())))[1]
    assert observer["name"] == "honest-server"
    assert observer["capabilities"] == sorted(observer["capabilities"])


@pytest.mark.parametrize("card", [ATTACK, DEFENSE, PLAIN, OBSERVERS[Observer.MODEL_USER]])
def test_every_kind_of_card_prints(card: Card) -> None:
    console, out = printed(80)
    print_card(card, console)
    print_cards("things", [card], console)
    text = " ".join(out.getvalue().split())
    assert text.count(card.summary) == 2
    assert max(map(cell_len, out.getvalue().splitlines())) <= 80


def test_show_names_parameters_and_capabilities() -> None:
    console, out = printed(80)
    print_card(ATTACK, console)
    print_card(OBSERVERS[Observer.MODEL_USER], console)
    text = " ".join(out.getvalue().split())
    assert "steps 300 Iterations of L-BFGS." in text
    assert "adaptive against topk" in text
    assert "sees-outputs" in text
    assert "audited yes" in text
