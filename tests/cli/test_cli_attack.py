"""`seepage attack`: what it prints, what it writes, what it refuses."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from seepage.report.mosaic import mosaic


def attack(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "seepage", "attack", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )


def test_one_attack_prints_its_figures_and_writes_pictures(tmp_path: Path) -> None:
    given = ["fully-connected", "--model", "mlp,width=256", "--rounds", "9", "--stage", "end"]
    done = attack(*given, "--json", "--out", "found", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["schema"] == "seepage.trial/1"
    assert found["moment"] == "end"
    assert found["task"]["training"]["rounds"] == 9
    assert found["value"] > 0.9 > found["prior"]
    assert found["seconds"] > 0
    stored = json.loads((tmp_path / "found" / "trial.json").read_text())
    assert stored.items() <= found.items()
    assert (tmp_path / "found" / "picture.png").read_bytes().startswith(b"\x89PNG")
    again = json.loads(attack(*given, "--json", "--out", "found", cwd=tmp_path).stdout)
    assert {**again, "seconds": 0} == {**found, "seconds": 0}


def test_a_defense_takes_part_and_words_name_it_all(tmp_path: Path) -> None:
    done = attack(
        "inverting-gradients", "--model", "mlp", "--defense", "local-dp,noise_multiplier=5.0",
        "--set", "steps=5", "--draws", "2", "--batch", "1", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "by the honest-server, 2 batches, 2 victims" in done.stdout
    assert "median PSNR" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["dlgg"], "did you mean 'dlg'"),
        (["dlg", "--set", "step=3"], "no parameter 'step'"),
        (["dlg", "--set", "steps"], "write KEY=VALUE"),
        (["dlg", "--model", "mlp,wide=3"], "no parameter 'wide'"),
        (["dlg", "--dataset", "nowhere.npz"], "nowhere.npz"),
        (["dlg", "--draws", "0"], "use 1 or more"),
        (["dlg", "--batch", "0"], "--batch is 0; use 1 or more"),
        (["dlg", "--out", "/dev/null/here"], "can't be written"),
        (["fed-mia"], "`seepage audit`"),
        (["averaged", "--defense", "secure-aggregation"], "secure-aggregation hides"),
        (["spear", "--model", "lenet"], "the first layer is a Conv2d"),
    ],
)
def test_a_mistake_is_one_clear_line(tmp_path: Path, arguments: list[str], words: str) -> None:
    done = attack(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert words in done.stderr.strip().splitlines()[-1]


def test_a_mosaic_holds_a_row_for_each_and_tables_have_none() -> None:
    rows = {"truth": np.zeros((3, 1, 8, 8)), "defended": np.ones((2, 1, 8, 8))}
    drawn = mosaic(rows)
    assert drawn is not None
    width, height = (int.from_bytes(drawn[i : i + 4], "big") for i in (16, 20))
    assert (width, height) == (3 * 100, 2 * 100)
    assert mosaic({"truth": np.zeros((3, 5))}) is None
