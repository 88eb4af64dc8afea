"""Runs of one job over their total epsilon: ordered, matched, refused where they differ."""

import io
import json
from copy import deepcopy
from dataclasses import replace
from math import inf

import pytest
from report_fixture import BASE, quality
from rich.cells import cell_len
from rich.console import Console

from seepage.core.errors import UsageError
from seepage.core.results import Result
from seepage.report.tradeoff import tradeoffs
from seepage.report.tradeoff_page import panels, render_tradeoffs
from seepage.report.tradeoff_table import print_tradeoffs


def noisy(result: Result, noise: float, epsilon: float, value: float, test: float) -> Result:
    """The fixture's digits job at a noise."""
    plan = deepcopy(dict(result.plan))
    plan["tasks"] = plan["tasks"][:1]
    plan["defenses"] = [{"name": "dp-sgd", "settings": {"noise_multiplier": noise}}]
    return replace(
        result,
        plan=plan,
        address=f"{noise}",
        privacy=(replace(result.privacy[0], task="digits", total_epsilon=epsilon),),
        findings=(replace(BASE, value=value, ci=(value - 0.05, value + 0.05), bound=0.9),),
        utility={"undefended": {"digits": quality(0.97)}, "defended": {"digits": quality(test)}},
    )


@pytest.fixture
def runs(result: Result) -> list[Result]:
    given = ((0.5, 40.0, 0.8, 0.9), (4.0, 0.4, 0.06, 0.5), (1.0, 5.0, 0.3, 0.8))
    return [noisy(result, *figures) for figures in given]


def test_runs_stand_by_their_epsilon_and_the_twin_last(runs: list[Result]) -> None:
    (found,) = tradeoffs(runs)
    assert [p.epsilon for p in found.points] == [0.4, 5.0, 40.0, inf]
    assert [p.setting for p in found.points] == [
        "noise_multiplier 4.0",
        "noise_multiplier 1.0",
        "noise_multiplier 0.5",
        "undefended",
    ]
    assert [p.utility["test"] for p in found.points] == [0.5, 0.8, 0.9, 0.97]
    assert found.points[-1].leakage[BASE.id].value == BASE.control.value
    assert "record, add-remove, against model-holder" in found.guarantee
    content = json.loads(json.dumps(found.to_json()))
    assert [p["total_epsilon"] for p in content["points"]] == [0.4, 5.0, 40.0, "unbounded"]
    assert content["points"][0]["findings"][BASE.id]["bound"] == 0.9


def test_every_point_is_drawn_where_it_belongs(runs: list[Result]) -> None:
    (found,) = tradeoffs(runs)
    utility, leakage = panels(found)
    for panel in (utility, leakage):
        x = [m.x for m in panel.marks]
        assert x == sorted(x)
        assert len(set(x)) == 4
        assert [t.label for t in panel.x_ticks][-1] == "none"
        assert all(m.high <= m.y <= m.low for m in panel.marks)
    assert utility.bound == ""
    assert leakage.bound
    page = render_tradeoffs([found])
    assert page.count('<figure class="curve"') == 2
    assert "noise_multiplier 4.0" in page


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_fits_its_width(runs: list[Result], width: int) -> None:
    out = io.StringIO()
    print_tradeoffs(tradeoffs(runs), Console(file=out, width=width))
    text = out.getvalue()
    assert max(map(cell_len, text.splitlines())) <= width
    assert "bound 0.90" in text
    assert "0.500" in text


def test_other_jobs_are_no_points_of_the_same_curve(runs: list[Result]) -> None:
    plan = deepcopy(dict(runs[0].plan))
    plan["tasks"][0]["model"] = {"name": "lenet", "settings": {}}
    with pytest.raises(UsageError, match="has another model"):
        tradeoffs([runs[1], replace(runs[0], plan=plan)])
    plan["tasks"][0]["name"] = "other"
    with pytest.raises(UsageError, match="no job in common"):
        tradeoffs([runs[1], replace(runs[0], plan=plan)])
    with pytest.raises(UsageError, match="no run of 'digits' has a finite epsilon"):
        tradeoffs([replace(run, privacy=()) for run in runs])
