"""`seepage compare` on the files that an audit left."""

import json
import shutil
from pathlib import Path

import pytest
from test_cli import DEFENDED, one_line, seepage


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs: one audited, and two that differ from it as if at other noise."""
    folder = tmp_path_factory.mktemp("compared")
    (folder / "plan.toml").write_text(DEFENDED)
    assert seepage("audit", "plan.toml", "--out", "two", cwd=folder).returncode in (1, 3)
    for name, noise, epsilon in (("one", 1.0, 9.5), ("four", 4.0, 0.01)):
        shutil.copytree(folder / "two", folder / name)
        path = folder / name / "result.json"
        content = json.loads(path.read_text())
        content["address"] = name
        content["plan"]["defenses"][0]["settings"]["noise_multiplier"] = noise
        content["privacy"][0]["total_epsilon"] = epsilon
        path.write_text(json.dumps(content))
    return folder


def test_more_than_two_runs_give_curves_over_epsilon(folder: Path) -> None:
    done = seepage("compare", "one", "two", "four", "--out", "out/curves.html", cwd=folder)
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if "noise_multiplier" in line]
    assert [row.split()[2] for row in rows][:3] == ["4.0", "2.0", "1.0"]
    assert "undefended" in done.stdout
    page = (folder / "out" / "curves.html").read_text()
    assert page.count('<figure class="curve"') >= 2
    done = seepage("compare", "one", "two", "four", "--json", cwd=folder)
    (found,) = json.loads(done.stdout)["tradeoffs"]
    assert [p["run"] for p in found["points"]] == ["four", "two", "one", ""]


def test_two_runs_show_what_changed(folder: Path) -> None:
    done = seepage("compare", "one", "four", "--json", cwd=folder)
    assert set(json.loads(done.stdout)) == {"verdict", "sides", "findings"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("one",), "two runs or more"),
        (("one", "two", "--out", "curves.png"), "drawn as .html"),
        (("one", "two", "none"), "no run there"),
    ],
)
def test_what_can_not_be_compared_is_said(
    folder: Path, arguments: tuple[str, ...], words: str
) -> None:
    done = seepage("compare", *arguments, cwd=folder)
    assert done.returncode == 2
    assert words in one_line(done)
