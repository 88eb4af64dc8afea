"""Curves of guarantees: drawn to scale, from the file alone, beside what was measured."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from math import log10

import pytest
from report_fixture import BASE, curve

from seepage.core.results import Curve, Result
from seepage.report import html, json_file
from seepage.report.axes import LinearAxis, LogAxis
from seepage.report.curve_figure import BOTTOM, LEFT, RIGHT, TOP, curve_figure

ROC = curve("roc", tuple((x, x**0.8, x**0.9, x**0.7) for x in (0.01, 0.1, 0.5, 1.0)))
RERO = curve("rero", ((0.01, 0.0, 0.0, 0.05),))


def numbers(data: str) -> list[tuple[float, float]]:
    points = re.split("[ML]", data.rstrip("z"))[1:]
    return [(float(x), float(y)) for x, y in (p.split() for p in points)]


@pytest.mark.parametrize("found", [ROC, RERO])
def test_points_lie_where_their_logarithms_do(found: Curve) -> None:
    drawn = curve_figure(BASE, found)
    low = min(float(t.label.split()[0]) for t in drawn.x_ticks) / 100
    shown = [p for p in found.bound if p[0] >= low]
    for (x, y), (at, up) in zip(shown, numbers(drawn.bound), strict=True):
        assert at == pytest.approx(LEFT + (RIGHT - LEFT) * (1 - log10(x) / log10(low)), abs=0.1)
        assert up == pytest.approx(BOTTOM - (BOTTOM - TOP) * (1 - log10(y) / log10(low)), abs=0.1)
    assert all(LEFT <= x <= RIGHT and TOP <= y <= BOTTOM for x, y in numbers(drawn.beyond))


def test_a_line_has_a_band_around_it_and_a_single_point_its_interval() -> None:
    drawn = curve_figure(BASE, ROC)
    line, band = numbers(drawn.line), numbers(drawn.band)
    assert (len(line), len(band), drawn.marks) == (4, 8, ())
    for (_, y), (_, upper), (_, lower) in zip(line, band[:4], reversed(band[4:]), strict=True):
        assert upper <= y <= lower
    (mark,) = curve_figure(BASE, RERO).marks
    assert mark.below
    assert mark.y == mark.low == BOTTOM > mark.high > TOP


def test_a_curve_that_few_outsiders_can_not_carry_is_drawn_without_a_line() -> None:
    drawn = curve_figure(BASE, replace(ROC, measured=()))
    assert (drawn.band, drawn.line, drawn.marks) == ("", "", ())
    assert "too few outsiders to measure it" in drawn.summary


def test_axes_hold_every_scale() -> None:
    assert LogAxis(1e-4, 1, 0, 1).percent_ticks()[0].label == "0.01 %"
    for low, high in ((0.0, 1.0), (0.31, 0.52), (-0.2, 0.9)):
        ticks = LinearAxis(low, high, 0, 100).ticks()
        assert 2 <= len(ticks) <= 6
        assert all(0 <= t.at <= 100 for t in ticks)


def test_the_page_draws_curves_and_ceilings_from_the_file_alone(run: Result) -> None:
    page = html.render(Result.from_json(json.loads(json_file.render(run))))
    assert page.count('<figure class="curve') == 3  # beside the guarantee, and of two memberships
    assert "Measured beside the guarantee" in page
    for told in ("TPR at 1 % FPR", "Accuracy for a secret bit", "54.2 bits", "Bayesian ε"):
        assert told in page
    assert page.count("Bayesian ε") == 1
    assert "3 runs, 0.890 to 0.920" in page
    unbounded = replace(BASE, metric="auc", curve=replace(ROC, bound=()))
    assert "Measured beside the guarantee" not in html.render(replace(run, findings=(unbounded,)))
    bare = replace(run, findings=(BASE,))
    assert "Measured beside the guarantee" not in html.render(bare)


def test_the_report_room_imports_no_torch() -> None:
    code = "import sys, seepage.report.html; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
