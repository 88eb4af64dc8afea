"""The ledger's file: kills at any moment, processes at once, and files that are no ledger."""

import os
import random
import shutil
import sqlite3
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from math import sqrt
from pathlib import Path

import pytest
from ledger_processes import children, killed_before

from seepage.accounting.gaussian import epsilon_of, mu_of
from seepage.accounting.ledger import BudgetExceeded, Ledger
from seepage.accounting.sampled_gaussian import SampledGaussian
from seepage.core.errors import RefusedError, UsageError

DELTA = 1e-5
MU = mu_of(1.5, DELTA)
ONE = SampledGaussian(noise_multiplier=1 / MU)


@pytest.fixture
def folder() -> Iterator[Path]:
    memory = Path("/dev/shm")
    path = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
    yield path
    shutil.rmtree(path)


def opened(folder: Path, epsilon: float = 80.0, **options: float) -> Ledger:
    return Ledger(folder / "ledger.db", target_epsilon=epsilon, target_delta=DELTA, **options)


def total(releases: int) -> float:
    return epsilon_of(MU * sqrt(releases), DELTA)


def stored(ledger: Ledger) -> list[int]:
    return [int(charge.release_id) for charge in ledger.charges("c")]


def charging(folder: Path, releases: Iterable[int], paid: int, epsilon: float = 80.0) -> None:
    """Charge each release, and write its id once it is charged, as a client would release it."""
    ledger = opened(folder, epsilon)
    for release in releases:
        try:
            ledger.charge("c", ONE, release_id=release)
        except BudgetExceeded:
            continue
        os.write(paid, f"{release}\n".encode())


def test_eight_processes_one_killed_share_one_budget_exactly(folder: Path) -> None:
    fit, epsilon = 700, total(700)

    def work(first: int, paid: int) -> None:
        charging(folder, range(first, 1000, 8), paid, epsilon)

    with children(work, *((first,) for first in range(8))) as (processes, ended):
        while len(stored(opened(folder, epsilon))) < 100:
            time.sleep(0.005)
        processes[3].kill()
        paid = ended()
    ledger = opened(folder, epsilon)
    killed = [process.exitcode for process in processes]
    assert killed == [0, 0, 0, -9, 0, 0, 0, 0]
    assert len(paid) == len(set(paid))
    assert set(paid) <= set(stored(ledger))
    assert len(stored(ledger)) - len(paid) <= 1  # charged, then killed before it said so
    assert len(stored(ledger)) == len(set(stored(ledger))) == fit
    assert ledger.spent("c") == pytest.approx(epsilon, rel=1e-9)
    assert ledger.remaining("c", ONE) == 0
    with closing(sqlite3.connect(ledger.path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_the_same_release_at_once_counts_once(folder: Path) -> None:
    def work(_: int, paid: int) -> None:
        charging(folder, range(25), paid)

    with children(work, *((n,) for n in range(6))) as (_, ended):
        paid = ended()
    assert sorted(paid) == sorted(list(range(25)) * 6)
    assert sorted(stored(opened(folder))) == list(range(25))
    assert opened(folder).spent("c") == pytest.approx(total(25), rel=1e-9)


def test_threads_share_a_ledger(folder: Path) -> None:
    ledger = opened(folder, total(100))
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ledger.charge, "c", ONE, release_id=n // 2) for n in range(240)]
    refused = [one.exception() for one in asked if one.exception()]
    assert {type(error) for error in refused} == {BudgetExceeded}
    assert len(stored(ledger)) == len(set(stored(ledger))) == 100
    assert len(refused) == 2 * 20


def test_a_kill_at_any_moment_loses_no_charge(tmp_path: Path) -> None:
    """On a real disk, where most moments lie within a commit; the file is made there as well."""
    rng, paid, epsilon = random.Random(0), set[int](), 800.0  # more than a fast disk spends
    for trial in range(25):
        with children(
            lambda first, paid: charging(tmp_path, range(first, first + 1000), paid, epsilon),
            (1000 * trial,),
        ) as (processes, ended):
            # Every other process gets to a charge first, however slow the machine.
            least = len(stored(opened(tmp_path, epsilon))) + 2 if trial % 2 else 0
            while processes[0].is_alive() and len(stored(opened(tmp_path, epsilon))) < least:
                time.sleep(0.005)
            time.sleep(rng.uniform(0.0, 0.08))
            processes[0].kill()
            said = ended()
        assert processes[0].exitcode == -9
        paid.update(said)
        ledger = opened(tmp_path, epsilon)
        found = stored(ledger)
        assert paid <= set(found)
        assert len(found) == len(set(found)) <= len(paid) + trial + 1
        assert ledger.spent("c") == pytest.approx(total(len(found)) if found else 0.0, rel=1e-9)
    assert len(paid) > 10


def test_a_kill_before_any_statement_charges_all_or_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(folder).charge("c", ONE, release_id=0)
    connect, outcomes = sqlite3.connect, set[str]()
    for last in range(1, 30):

        def work(release: int, paid: int, last: int = last) -> None:
            ledger = opened(folder)
            monkeypatch.setattr(sqlite3, "connect", killed_before(last, connect))
            ledger.charge("c", ONE, release_id=release)
            os.write(paid, f"{release}\n".encode())

        with children(work, (last,)) as (processes, ended):
            paid = ended()
        found = stored(opened(folder))
        assert set(paid) <= set(found)
        outcomes.add(f"exit {processes[0].exitcode}, charged: {last in found}")
        opened(folder).charge("c", ONE, release_id=last)
        assert stored(opened(folder)) == list(range(last + 1))
    assert outcomes == {"exit -9, charged: False", "exit 0, charged: True"}


def untouched(path: Path, match: str, error: type[UsageError] = UsageError) -> None:
    """Require that a file is refused on one line and left as it is."""
    before, beside = path.read_bytes(), sorted(path.parent.iterdir())
    with pytest.raises(error, match=match) as caught:
        Ledger(path, target_epsilon=80.0, target_delta=DELTA)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == before
    assert sorted(path.parent.iterdir()) == beside


@pytest.mark.parametrize("content", [b"x", b"client,epsilon\n" * 500, b"SQLite format 3\0" * 300])
def test_a_file_that_is_no_database_is_left_alone(folder: Path, content: bytes) -> None:
    (folder / "ledger.db").write_bytes(content)
    untouched(folder / "ledger.db", "it is no ledger: name another file")


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_another_programs_database_is_left_alone(folder: Path, journal: str) -> None:
    with closing(sqlite3.connect(folder / "ledger.db")) as db:
        db.execute(f"PRAGMA journal_mode = {journal}")
        db.execute("CREATE TABLE charges (release_id)")
        db.commit()
        untouched(folder / "ledger.db", "it is no ledger: name another file")


def test_a_ledger_keeps_its_target_and_its_schema(folder: Path) -> None:
    path = opened(folder, 3.0).path
    untouched(path, "made for epsilon 3 at delta 1e-05, not for epsilon 80 at delta 1e-05")
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 1")
    untouched(path, "written in schema 1, and this seepage knows 2")


def test_a_damaged_ledger_is_not_used(folder: Path) -> None:
    ledger = opened(folder)
    for release in range(200):
        ledger.charge("c", ONE, release_id=release)
    whole = ledger.path.read_bytes()
    ledger.path.write_bytes(whole[:-8192])
    untouched(ledger.path, "malformed|damaged")
    middle = len(whole) // 2
    ledger.path.write_bytes(whole[:middle] + bytes(4096) + whole[middle + 4096 :])
    untouched(ledger.path, "malformed|damaged")
    ledger.path.write_bytes(whole)
    assert opened(folder).spent("c") == pytest.approx(total(200), rel=1e-9)


def test_where_no_file_can_be_is_said_on_one_line(folder: Path) -> None:
    for path, match in (
        (folder / "missing" / "ledger.db", "there is no folder .*missing; make it first"),
        (folder, "that is a folder; name a file in it"),
    ):
        with pytest.raises(UsageError, match=match):
            Ledger(path, target_epsilon=1.0, target_delta=DELTA)


def test_a_read_only_ledger_is_read_and_refuses_charges(folder: Path) -> None:
    ledger = opened(folder)
    ledger.charge("c", ONE, release_id=1)
    ledger.path.chmod(0o444)
    folder.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        assert opened(folder).spent("c") == pytest.approx(1.5)
        with pytest.raises(RefusedError, match="make the file and its folder writable"):
            ledger.charge("c", ONE, release_id=2)
        with pytest.raises(UsageError, match=r"other\.db: .*readable and writable"):
            Ledger(folder / "other.db", target_epsilon=1.0, target_delta=DELTA)
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(stat.S_IRWXU)
    assert stored(ledger) == [1]


def test_a_busy_ledger_refuses_and_a_lost_one_is_not_begun_anew(folder: Path) -> None:
    ledger = opened(folder, busy_timeout=0.05)
    with closing(sqlite3.connect(ledger.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(RefusedError, match="locked; another process holds it: try again"):
            ledger.charge("c", ONE, release_id=1)
        assert ledger.spent("c") == 0.0
    ledger.charge("c", ONE, release_id=1)
    ledger.path.unlink()
    with pytest.raises(UsageError, match="unable to open"):
        ledger.charge("c", ONE, release_id=2)
    assert not ledger.path.exists()


def test_the_file_holds_nothing_but_ids_mechanisms_and_times(folder: Path) -> None:
    ledger = opened(folder)
    ledger.charge("c", ONE, release_id=1)
    with closing(sqlite3.connect(ledger.path)) as db:
        tables = [
            name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'")
        ]
        columns = {t: [row[1] for row in db.execute(f"PRAGMA table_info({t})")] for t in tables}
    assert columns == {
        "target": ["epsilon", "delta"],
        "clients": ["client", "renyi_order", "unit", "adjacency", "observer"],
        "charges": ["number", "release_id", "client", "share", "mechanism", "charged_at"],
    }
