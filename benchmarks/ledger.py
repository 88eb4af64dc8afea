"""The privacy ledger under load: rates, one budget shared by processes, and kills.

Prints a markdown page. Folders are made under `--folder` (a real disk) and in memory.

    python benchmarks/ledger.py > benchmarks/results/ledger.md
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import signal
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from math import sqrt

import numpy as np
from result_tables import head, line

from seepage.accounting.gaussian import epsilon_of, mu_of
from seepage.accounting.ledger import BudgetExceeded, Ledger
from seepage.accounting.sampled_gaussian import SampledGaussian

DELTA = 1e-5
MU = mu_of(1.5, DELTA)
ONE = SampledGaussian(noise_multiplier=1 / MU)
MEMORY = "/dev/shm"
FORK = multiprocessing.get_context("fork")


def total(releases: int) -> float:
    """Return epsilon of so many releases of 1.5 each, in closed form."""
    return epsilon_of(MU * sqrt(releases), DELTA)


@contextmanager
def fresh(folder: str, fit: int) -> Iterator[Ledger]:
    """Give a new ledger into which so many releases fit."""
    with tempfile.TemporaryDirectory(dir=folder) as made:
        yield Ledger(f"{made}/ledger.db", target_epsilon=total(fit), target_delta=DELTA)


def charging(ledger: Ledger, releases: range, paid: int) -> None:
    """Charge each release, and write its id and how long the charge took."""
    for release in releases:
        begin = time.perf_counter()
        try:
            ledger.charge("c", ONE, release_id=release)
        except BudgetExceeded:
            continue
        os.write(paid, f"{release} {time.perf_counter() - begin}\n".encode())


def at_once(
    ledger: Ledger, shares: list[range], kill: Callable[[list[int]], None] | None = None
) -> tuple[list[int], list[float]]:
    """Return the ids that processes saw charged, one process a share, and the seconds of each."""
    reader, writer = os.pipe()
    processes = [FORK.Process(target=charging, args=(ledger, s, writer)) for s in shares]
    for process in processes:
        process.start()
    os.close(writer)
    if kill:
        kill([process.pid or 0 for process in processes])
    with os.fdopen(reader) as lines:
        rows = [row.split() for row in lines]
    for process in processes:
        process.join()
    return [int(release) for release, _ in rows], [float(seconds) for _, seconds in rows]


def rates(disk: str, releases: int) -> Iterator[str]:
    """Yield the table of rates."""
    yield head("where", "processes", "charges", "charges a second", "median ms", "99 % ms")
    for where, folder in (("disk", disk), ("memory", MEMORY)):
        for processes in (1, 8):
            with fresh(folder, 10 * releases) as ledger:
                begin = time.perf_counter()
                shares = [range(first, releases, processes) for first in range(processes)]
                paid, seconds = at_once(ledger, shares)
                rate = len(paid) / (time.perf_counter() - begin)
                low, high = 1e3 * np.percentile(seconds, [50, 99])
                yield line(
                    [where, processes, len(paid), f"{rate:.0f}", f"{low:.1f}", f"{high:.1f}"]
                )


def growth() -> Iterator[str]:
    """Yield how a charge's CPU time grows with what the client was charged for before."""
    yield head("charges before", "CPU ms a charge", "CPU ms to open", "KiB")
    with fresh(MEMORY, 10**6) as ledger:
        done = 0
        for before in (0, 1000, 10_000):
            while done < before:
                ledger.charge("c", ONE, release_id=done)
                done += 1
            begin = time.process_time()
            for _ in range(100):
                ledger.charge("c", ONE, release_id=done)
                done += 1
            charge = (time.process_time() - begin) * 10
            begin = time.process_time()
            Ledger(ledger.path, target_epsilon=ledger.target_epsilon, target_delta=DELTA)
            opening = (time.process_time() - begin) * 1e3
            size = ledger.path.stat().st_size // 1024
            yield line([before, f"{charge:.2f}", f"{opening:.1f}", size])


def journals(disk: str) -> Iterator[str]:
    """Yield what a bare commit costs in each journal mode, for the choice that was made."""
    yield head("journal", "synchronous", "ms a commit on disk, median")
    modes = ("delete", "extra"), ("delete", "full"), ("wal", "full")
    seconds: dict[tuple[str, str], list[float]] = {mode: [] for mode in modes}
    with tempfile.TemporaryDirectory(dir=disk) as made:
        for commit in range(200):  # interleaved, because disks have moods
            for mode, sync in modes:
                path = f"{made}/{mode}-{sync}.db"
                with closing(sqlite3.connect(path, isolation_level=None)) as db:
                    db.execute(f"PRAGMA journal_mode = {mode}")
                    db.execute(f"PRAGMA synchronous = {sync}")
                    db.execute("PRAGMA wal_autocheckpoint = 0")
                    db.execute("CREATE TABLE IF NOT EXISTS charges (release_id PRIMARY KEY)")
                    begin = time.perf_counter()
                    db.execute("INSERT INTO charges VALUES (?)", (commit,))
                    seconds[mode, sync].append(time.perf_counter() - begin)
    for mode in modes:
        yield line([*mode, f"{1e3 * np.median(seconds[mode]):.1f}"])


def crowd(disk: str, releases: int, fit: int) -> Iterator[str]:
    """Yield eight processes on one budget, the fourth killed in the middle."""
    yield head(
        "where", "asked", "fit", "seen charged", "stored", "stored twice", "seen, not stored",
        "epsilon spent", "closed form", "seconds",
    )  # fmt: skip
    for where, folder in (("disk", disk), ("memory", MEMORY)):
        with fresh(folder, fit) as ledger:

            def in_the_middle(pids: list[int], ledger: Ledger = ledger) -> None:
                while len(ledger.charges("c")) < fit // 2:
                    time.sleep(0.002)
                os.kill(pids[3], signal.SIGKILL)

            begin = time.perf_counter()
            paid, _ = at_once(ledger, [range(n, releases, 8) for n in range(8)], in_the_middle)
            seconds = time.perf_counter() - begin
            stored = [charge.release_id for charge in ledger.charges("c")]
            twice, lost = len(stored) - len(set(stored)), len(set(paid) - set(stored))
            figures = f"{ledger.spent('c'):.9f}", f"{total(fit):.9f}", f"{seconds:.1f}"
            yield line([where, releases, fit, len(paid), len(stored), twice, lost, *figures])


def kills(disk: str, count: int) -> Iterator[str]:
    """Yield one process after another, each killed at a random moment, on the same file."""
    yield head(
        "kills", "journals left behind", "seen charged", "stored", "seen, not stored",
        "epsilon spent", "closed form",
    )  # fmt: skip
    rng, seen, left = random.Random(0), set[int](), 0
    with fresh(disk, 10**6) as ledger:
        journal = ledger.path.with_name("ledger.db-journal")

        def soon(pids: list[int]) -> None:
            time.sleep(rng.uniform(0.0, 0.1))
            os.kill(pids[0], signal.SIGKILL)

        for trial in range(count):
            paid, _ = at_once(ledger, [range(1000 * trial, 1000 * (trial + 1))], soon)
            left += journal.exists()
            seen.update(paid)
        stored = {int(charge.release_id) for charge in ledger.charges("c")}
        spent = f"{ledger.spent('c'):.9f}", f"{total(len(stored)):.9f}"
    yield line([count, left, len(seen), len(stored), len(seen - stored), *spent])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="a folder on a disk")
    disk = parser.parse_args().folder
    print("# The privacy ledger\n")
    print(f"SQLite {sqlite3.sqlite_version}, {os.cpu_count()} CPU cores; releases of epsilon 1.5")
    print("at delta 1e-5. On a disk a charge waits for the disk to have it, several times.")
    for title, rows in (
        ("Charges a second, one client", rates(disk, 400)),
        ("As a client's account grows (memory)", growth()),
        ("Why it takes that long: a bare commit", journals(disk)),
        (
            "Eight processes, one budget, one killed by SIGKILL in the middle",
            crowd(disk, 1000, 700),
        ),
        ("Killed at random moments, on disk", kills(disk, 200)),
    ):
        print(f"\n## {title}\n")
        for row in rows:
            print(row, flush=True)


if __name__ == "__main__":
    main()
