"""`seepage ledger`, as whoever looks after a budget runs it."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from seepage.accounting import Ledger, epsilon_record
from seepage.accounting.record import epsilon_and_accountant
from seepage.accounting.sampled_gaussian import SampledGaussian
from seepage.cli.main import run

DELTA = 1e-5
SAMPLED = SampledGaussian(noise_multiplier=1.0, sample_rate=0.1)


def seepage_ledger(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "seepage", "ledger", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    made = Ledger(tmp_path / "ledger.db", target_epsilon=8.0, target_delta=DELTA)
    for number in range(5):
        made.charge_all(["clinic-3", 7], SAMPLED, release_id=f"round {number}")
    record = epsilon_record(4.0, unit="client", adjacency="replace")
    made.charge("[bold]", record, release_id=12)
    return made


def test_who_spent_what_is_shown_and_nothing_is_written(ledger: Ledger) -> None:
    before = ledger.path.read_bytes()
    ledger.path.chmod(0o444)
    done = seepage_ledger(ledger.path)
    assert (done.returncode, done.stderr) == (0, "")
    head, _, *rows = done.stdout.splitlines()
    assert head.startswith("epsilon 8 at delta 1e-05 for each client in all; 3 clients charged")
    said = {row.split()[0]: row.split() for row in rows if "%" in row}
    assert said["clinic-3"][1:3] == [f"{ledger.spent('clinic-3'):.4g}", "8"]
    assert said["7"][4:7] == ["5", "round", "4"]
    assert said["[bold]"][1] == "1.993"
    assert ledger.path.read_bytes() == before
    assert sorted(ledger.path.parent.iterdir()) == [ledger.path]


def test_json_has_every_client_and_what_a_plan_would_make_of_it(ledger: Ledger) -> None:
    content = json.loads(seepage_ledger(ledger.path, "--json", "--if-planned").stdout)
    assert (content["target_epsilon"], content["target_delta"]) == (8.0, DELTA)
    assert content["path"] == str(ledger.path)
    number, text, clinic = content["clients"]
    assert [one["client"] for one in content["clients"]] == [7, "[bold]", "clinic-3"]
    own = {key: clinic[key] for key in ("client", "last_charged_at")}  # charged one by one
    assert clinic == number | own
    assert clinic["spent"] == ledger.spent(7)
    tight = epsilon_and_accountant(SampledGaussian(**vars(SAMPLED) | {"releases": 5}), DELTA)[0]
    assert clinic["spent_if_planned"] == tight < 0.6 * clinic["spent"]
    assert clinic["share"] == pytest.approx(5 / (5 + ledger.remaining(7, SAMPLED)), rel=0.02)
    assert (clinic["charges"], clinic["last_release"]) == (5, "round 4")
    assert clinic["last_charged_at"] == ledger.charges(7)[-1].charged_at
    assert [text[name] for name in ("unit", "adjacency", "observer", "last_release")] == [
        "client",
        "replace",
        "central",
        12,
    ]
    assert text["spent_if_planned"] == text["spent"]
    plain = json.loads(seepage_ledger(ledger.path, "--json").stdout)
    assert {one["spent_if_planned"] for one in plain["clients"]} == {None}


def test_a_new_ledger_is_empty(tmp_path: Path) -> None:
    path = Ledger(tmp_path / "new.db", target_epsilon=1.0, target_delta=DELTA).path
    done = seepage_ledger(path)
    assert done.returncode == 0
    assert "0 clients charged" in done.stdout
    assert json.loads(seepage_ledger(path, "--json").stdout)["clients"] == []


def test_what_is_no_ledger_is_said_on_one_line_and_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.db").touch()
    (tmp_path / "notes.txt").write_text("client,epsilon\n" * 500)
    with closing(sqlite3.connect(tmp_path / "other.db")) as db:
        db.execute("CREATE TABLE charges (release_id)")
    for name, reason in {
        "missing.db": "there is no such file",
        "empty.db": "it is no ledger: name another file",
        "notes.txt": "it is no ledger: name another file",
        "other.db": "it is no ledger: name another file",
        "no/ledger.db": "there is no folder",
        "": "that is a folder",
    }.items():
        path = tmp_path / name
        before = path.read_bytes() if path.is_file() else None
        assert run(["ledger", str(path)]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        (line,) = said.err.splitlines()
        assert line.startswith(f"seepage: ledger {path}: ")
        assert reason in line
        assert (path.read_bytes() if path.is_file() else None) == before


def test_a_charge_that_was_cut_off_is_not_rolled_back_by_looking(ledger: Ledger) -> None:
    journal = Path(f"{ledger.path}-journal")
    with closing(sqlite3.connect(ledger.path, isolation_level=None)) as db:
        db.execute("PRAGMA cache_size = 1")
        db.execute("BEGIN IMMEDIATE")
        for number in range(2000):
            db.execute(
                "INSERT INTO charges (release_id, client, share, mechanism, charged_at) "
                "VALUES (?, 7, 1, '{}', '')",
                (f"cut off {number}",),
            )
        cut, half = ledger.path.read_bytes(), journal.read_bytes()
    ledger.path.write_bytes(cut)
    journal.write_bytes(half)
    done = seepage_ledger(ledger.path)
    assert done.returncode == 2
    assert "a charge was cut off: opening it as a Ledger rolls it back" in done.stderr
    assert (ledger.path.read_bytes(), journal.read_bytes()) == (cut, half)
    again = Ledger(ledger.path, target_epsilon=8.0, target_delta=DELTA)
    assert len(again.charges(7)) == 5
    assert seepage_ledger(ledger.path).returncode == 0
