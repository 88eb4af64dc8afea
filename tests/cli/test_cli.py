import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from seepage.cli.commands import COMMANDS
from seepage.report.schema import schema

SMALL = """\
name = "small"
budget = "none"
units = 12
observers = ["honest-server"]
[[tasks]]
name = "t"
data = { source = "digits", clients = 4 }
model = { name = "mlp", width = 256 }
training = { rounds = 3, batch_size = 4, lr = 0.1 }
[[attacks]]
name = "fully-connected"
"""
DEFENDED = SMALL + '[[defenses]]\nname = "dp-sgd"\nnoise_multiplier = 2.0\n'


def seepage(
    *arguments: str, cwd: Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "seepage", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        check=False,
    )


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """The last line of stderr, once it is sure that no traceback is in it."""
    assert "Traceback" not in done.stderr
    return done.stderr.strip().splitlines()[-1]


def test_a_job_without_defenses_leaks_and_stdout_is_the_result(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(SMALL)
    done = seepage("audit", "plan.toml", "--json", "--out", "run", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    result = json.loads(done.stdout)
    assert done.stdout == (tmp_path / "run" / "result.json").read_text()
    jsonschema.validate(result, schema())
    assert 4 * result["cost"]["bytes_up_per_client"] == result["cost"]["bytes_up"] > 0
    finding = result["findings"][0]
    assert finding["verdict"] == "leak"
    assert finding["value"] > 0.5 > finding["prior"]
    assert (tmp_path / "run" / "report.html").exists()
    again = seepage("audit", "plan.toml", "--json", "--out", "run", cwd=tmp_path)
    assert [f["seconds"] for f in json.loads(again.stdout)["findings"]] == [finding["seconds"]]
    replayed = seepage("replay", finding["id"], "--run", "run", cwd=tmp_path)
    assert replayed.returncode == 0, replayed.stderr
    code = (
        "import sys\nfrom seepage.cli.main import run\n"
        "assert run(['report', 'run', '--format', 'json,html,junit,sarif,md']) == 0\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    other = seepage("audit", "plan.toml", "--seed", "1", "--out", "run", cwd=tmp_path)
    assert other.returncode == 2
    assert "another run" in one_line(other)


def test_a_mistuned_attack_proves_nothing(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(
        DEFENDED.replace("fully-connected", "inverting-gradients").replace(
            "units = 12", "units = 4"
        )
    )
    done = seepage(
        "audit", "plan.toml", "--set", "attacks.inverting-gradients.steps=3", cwd=tmp_path
    )
    assert done.returncode == 3, done.stderr
    assert "inconclusive" in done.stdout


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("rounds = 3", "roudns = 3", "plan.toml:9: unknown key 'tasks.0.training.roudns'"),
        ('source = "digits"', 'source = "nowhere.npz"', "nowhere.npz"),
        ('source = "digits"', 'source = "nan.csv"', "row 1"),
        ('source = "digits"', 'source = "labels.npz"', "label"),
        ('source = "digits"', 'source = "digitz"', "did you mean 'digits'?"),
        ('name = "mlp", width = 256', 'name = "mine:narrow"', "output"),
        ('name = "mlp", width = 256', 'name = "mine:missing"', "mine:missing"),
        ('name = "mlp", width = 256', 'name = "convnet"', "BatchNorm"),
        ("noise_multiplier = 2.0", "noise_multiplier = -1.0", "noise_multiplier"),
        ("fully-connected", "fuly-connected", "did you mean 'fully-connected'?"),
        ("clients = 4", "clients = 4000", "clients"),
    ],
)
def test_a_mistake_is_one_clear_line(tmp_path: Path, old: str, new: str, words: str) -> None:
    (tmp_path / "nan.csv").write_text("a,y\n" + "nan,1\n2,0\n" * 20)
    np.savez(tmp_path / "labels.npz", inputs=np.zeros((9, 4)), targets=np.full(9, -1))
    (tmp_path / "mine.py").write_text(
        "from torch import nn\ndef narrow(): return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))\n"
    )
    assert old in DEFENDED
    (tmp_path / "plan.toml").write_text(DEFENDED.replace(old, new))
    done = seepage("audit", "plan.toml", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert words in one_line(done)


def test_a_bug_inside_exits_4(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import seepage.core.plan_reader as p\ndef read_plan(*a, **k): raise RuntimeError('boom')\n"
        "p.read_plan = read_plan\n"
    )
    done = seepage("audit", "quickstart", cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 4
    assert "bug in seepage" in done.stderr


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_run_goes_on_from_its_finished_cells(
    tmp_path: Path, how: signal.Signals
) -> None:
    plan = DEFENDED.replace('"honest-server"', '"honest-server", "model-holder"')
    plan += (
        '[[attacks]]\nname = "averaged"\n[[attacks]]\nname = "inverting-gradients"\nsteps = 60\n'
    )
    (tmp_path / "plan.toml").write_text(plan)
    whole = seepage("audit", "plan.toml", "--json", "--out", "whole", cwd=tmp_path)
    arguments = [sys.executable, "-m", "seepage", "audit", "plan.toml", "--json", "--out", "run"]
    process = subprocess.Popen(
        arguments, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    cells = tmp_path / "run" / "cells"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (cells.is_dir() and list(cells.glob("*.json"))):
        time.sleep(0.02)
    process.send_signal(how)
    assert process.wait() == (130 if how is signal.SIGINT else -9)
    finished = {p.name: p.stat().st_mtime_ns for p in cells.glob("*.json")}
    assert finished
    resumed = seepage("audit", "plan.toml", "--json", "--out", "run", cwd=tmp_path)
    assert {n: (cells / n).stat().st_mtime_ns for n in finished} == finished
    assert timeless(resumed.stdout) == timeless(whole.stdout)


def timeless(text: str) -> dict[str, object]:
    """A result without its times: the rest must be the same for the same seed."""
    result = json.loads(text)
    result["cost"].pop("seconds")
    for finding in result["findings"]:
        finding.pop("seconds")
    return result


def test_reading_commands_never_import_torch(tmp_path: Path) -> None:
    code = (
        "import sys, seepage\nfrom seepage.cli.main import run\n"
        "for a in (['--help'], ['list'], ['list', 'attacks', '--json'], ['show', 'dp-sgd']):\n"
        "    assert run(a) == 0, a\n"
        "assert 'torch' not in sys.modules, 'torch was imported'\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr


def test_a_closed_pipe_is_no_leak(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "seepage", "list"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=tmp_path) as process:
        assert process.stdout is not None
        process.stdout.close()
    assert process.returncode == 0


def test_help_is_quick() -> None:
    def median(arguments: list[str]) -> float:
        times: list[float] = []
        for _ in range(7):
            started = time.perf_counter()
            subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
            times.append(time.perf_counter() - started)
        return sorted(times)[3]

    assert median(["-m", "seepage", "--help"]) <= 8 * median(["-c", "pass"])


def test_every_command_can_be_imported_and_explains_itself() -> None:
    from seepage.cli.main import seepage as group

    for name in COMMANDS:
        command = group.get_command(None, name)  # pyright: ignore[reportArgumentType]
        assert command is not None
        assert command.help


def test_init_writes_a_plan_that_is_accepted_once(tmp_path: Path) -> None:
    from seepage.core.plan_reader import read_plan_file

    assert seepage("init", "p.toml", cwd=tmp_path).returncode == 0
    assert read_plan_file(tmp_path / "p.toml").tasks[0].name == "digits"
    assert seepage("init", "p.toml", cwd=tmp_path).returncode == 2


def test_epsilon_is_a_record(tmp_path: Path) -> None:
    arguments = "epsilon --noise-multiplier 1 --sample-rate .1 --steps 500 --delta 1e-5 --json"
    record = json.loads(seepage(*arguments.split(), cwd=tmp_path).stdout)
    assert record["total_epsilon"] == pytest.approx(16.56, abs=0.02)
    assert record["mu"] is None
    assert record["accountant"].startswith("PLD")
    assert {"adjacency", "unit", "observer", "delta"} <= record.keys()
    bad = seepage("epsilon", "--noise-multiplier", "-1", cwd=tmp_path)
    assert bad.returncode == 2
    assert one_line(bad)


def test_strangers_attacks_are_found_and_broken_ones_are_warnings(tmp_path: Path) -> None:
    info = tmp_path / "stranger-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[seepage.attacks]\nmean = stranger:CARD\nbroken = stranger_broken:CARD\n"
    )
    (tmp_path / "stranger.py").write_text(STRANGER)
    (tmp_path / "stranger_broken.py").write_text("raise OSError('no licence server')\n")
    env = {"PYTHONPATH": str(tmp_path)}
    listed = seepage("list", "attacks", "--json", cwd=tmp_path, env=env)
    assert "stranger-mean" in [card["name"] for card in json.loads(listed.stdout)]
    assert "no licence server" in one_line(listed)
    (tmp_path / "plan.toml").write_text(SMALL.replace("fully-connected", "stranger-mean"))
    done = seepage("audit", "plan.toml", "--json", cwd=tmp_path, env=env)
    assert [f["attack"] for f in json.loads(done.stdout)["findings"]] == ["stranger-mean"]
    assert done.returncode == 3


STRANGER = """
from dataclasses import dataclass
from seepage.core.cards import AttackCard
from seepage.core.threat import Capability, Observer

CARD = AttackCard(
    name="stranger-mean",
    summary="Guesses gray.",
    implementation="stranger:Mean",
    observers=(Observer.HONEST_SERVER,),
    needs=(Capability.SEES_CLIENT_UPDATES,),
    views=("update",),
    claims="reconstruction",
)

@dataclass(frozen=True, kw_only=True)
class Mean:
    def __call__(self, view, rng):
        import torch
        from seepage.core.claims import Reconstruction
        return Reconstruction(inputs=torch.full((1, *view.job.input_shape), 0.5))
"""
