"""Many clients charged for one release: all of them or nobody, whatever happens in between."""

import os
import random
import sqlite3
import time
from dataclasses import replace
from math import sqrt
from pathlib import Path

import pytest
from ledger_processes import children, killed_before

from seepage.accounting.composed import compose
from seepage.accounting.gaussian import epsilon_of, mu_of
from seepage.accounting.laplace import Laplace
from seepage.accounting.ledger import BudgetExceeded, Ledger
from seepage.accounting.record import epsilon_and_accountant
from seepage.accounting.sampled_gaussian import SampledGaussian
from seepage.core.errors import RefusedError, UsageError

DELTA = 1e-5
MU = mu_of(1.5, DELTA)
ONE = SampledGaussian(noise_multiplier=1 / MU)
SAMPLED = SampledGaussian(noise_multiplier=1.0, sample_rate=0.1)
COHORT = tuple(range(20))


def opened(folder: Path, epsilon: float = 80.0) -> Ledger:
    return Ledger(folder / "ledger.db", target_epsilon=epsilon, target_delta=DELTA)


def counts(ledger: Ledger) -> list[int]:
    return [len(ledger.charges(client)) for client in COHORT]


def test_a_cohort_is_charged_as_its_clients_would_be(tmp_path: Path) -> None:
    together, alone = (
        opened(tmp_path),
        Ledger(tmp_path / "b", target_epsilon=80, target_delta=DELTA),
    )
    for number, mechanism in enumerate((SAMPLED, ONE, Laplace(noise_multiplier=2.0))):
        together.charge_all(iter(COHORT), mechanism, release_id=number)
        together.charge_all(reversed(COHORT), mechanism, release_id=number)
        for client in COHORT:
            alone.charge(client, mechanism, release_id=f"{number} {client}")
    assert [together.spent(c) for c in COHORT] == [alone.spent(c) for c in COHORT]
    assert counts(together) == [3] * 20


def test_who_would_pass_the_budget_is_named_and_nobody_is_charged(tmp_path: Path) -> None:
    ledger = opened(tmp_path, epsilon_of(MU * sqrt(3), DELTA))
    for client in (3, 4, 5):
        ledger.charge(client, replace(ONE, releases=3), release_id=f"spent {client}")
    ledger.charge(6, SAMPLED, release_id="under another rule")
    before = ledger.path.read_bytes()
    with pytest.raises(BudgetExceeded, match=r"with clients 3, 4, 5; .*leave them out") as caught:
        ledger.charge_all(COHORT, ONE, release_id="r")
    assert caught.value.clients == (3, 4, 5)
    assert "\n" not in str(caught.value)
    assert ledger.path.read_bytes() == before
    rest = [client for client in COHORT if client not in caught.value.clients]
    ledger.charge_all(rest, ONE, release_id="r")
    assert counts(ledger) == [1] * 6 + [2] + [1] * 13


def test_a_release_stands_for_those_who_had_a_part_in_it(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    ledger.charge_all(["a", "b", 7], ONE, release_id="r")
    before = ledger.path.read_bytes()
    for others in (["a"], ["a", "b"], ["a", "b", 7, "c"], ["a", "b", "7"]):
        with pytest.raises(RefusedError, match="'r' was charged for clients 'a', 'b', 7 before"):
            ledger.charge_all(others, ONE, release_id="r")
    with pytest.raises(RefusedError, match="charged for clients"):
        ledger.charge("a", ONE, release_id="r")
    with pytest.raises(RefusedError, match="charged for another mechanism before"):
        ledger.charge_all(["a", "b", 7], SAMPLED, release_id="r")
    assert ledger.path.read_bytes() == before


def test_one_client_that_can_not_be_charged_stops_all(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    ledger.charge(3, replace(ONE, adjacency="replace"), release_id=0)
    with pytest.raises(RefusedError, match=r"client 3 .*no common epsilon"):
        ledger.charge_all(COHORT, ONE, release_id=1)
    with pytest.raises(UsageError, match="no client is charged"):
        ledger.charge_all([], ONE, release_id=1)
    with pytest.raises(UsageError, match="clients 'a', 2 would be charged twice"):
        ledger.charge_all(["a", 2, "b", "a", 2], ONE, release_id=1)
    with pytest.raises(UsageError, match="client is ''"):
        ledger.charge_all(["a", ""], ONE, release_id=1)
    assert ledger.clients() == (3,)


def test_a_kill_before_any_statement_charges_all_or_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(tmp_path).charge_all(COHORT, ONE, release_id=0)
    connect, outcomes = sqlite3.connect, set[str]()
    for last in range(1, 140, 6):

        def work(release: int, paid: int, last: int = last) -> None:
            ledger = opened(tmp_path)
            monkeypatch.setattr(sqlite3, "connect", killed_before(last, connect))
            ledger.charge_all(COHORT, ONE, release_id=release)
            os.write(paid, f"{release}\n".encode())

        with children(work, (last,)) as (processes, ended):
            paid = ended()
        (charged,) = set(counts(opened(tmp_path)))
        killed = opened(tmp_path).charges(0)[-1].release_id != last
        assert not (paid and killed)
        outcomes.add(f"exit {processes[0].exitcode}, charged: {not killed}")
        opened(tmp_path).charge_all(COHORT, ONE, release_id=last)
        assert counts(opened(tmp_path)) == [charged + killed] * 20
    assert outcomes == {"exit -9, charged: False", "exit 0, charged: True"}


def test_a_kill_at_any_moment_leaves_a_cohort_whole(tmp_path: Path) -> None:
    rng, paid = random.Random(0), set[int]()

    def work(first: int, said: int) -> None:
        ledger = opened(tmp_path)
        for release in range(first, first + 1000):
            ledger.charge_all(COHORT, ONE, release_id=release)
            os.write(said, f"{release}\n".encode())

    for trial in range(15):
        with children(work, (1000 * trial,)) as (processes, ended):
            # Every other process gets to some charges first, however slow the machine.
            least = len(opened(tmp_path).charges(0)) + 3 if trial % 2 else 0
            while len(opened(tmp_path).charges(0)) < least:
                time.sleep(0.005)
            time.sleep(rng.uniform(0.0, 0.15))
            processes[0].kill()
            said = ended()
        paid.update(said)
        ledger = opened(tmp_path)
        found = [{charge.release_id for charge in ledger.charges(client)} for client in COHORT]
        assert all(one == found[0] for one in found)
        assert paid <= found[0]
        assert len(found[0]) <= len(paid) + trial + 1
    assert len(paid) > 10


def test_cohorts_that_overlap_are_charged_at_once_exactly(tmp_path: Path) -> None:
    fit = 30
    epsilon = epsilon_of(MU * sqrt(fit), DELTA)

    def work(first: int, paid: int) -> None:
        ledger = opened(tmp_path, epsilon)
        for release in range(first, 60, 4):
            try:
                ledger.charge_all([0, 1 + release % 2], ONE, release_id=release)
            except BudgetExceeded:
                continue
            os.write(paid, f"{release}\n".encode())

    with children(work, *((first,) for first in range(4))) as (processes, ended):
        paid = ended()
    assert [process.exitcode for process in processes] == [0] * 4
    ledger = opened(tmp_path, epsilon)
    assert len(paid) == len(set(paid)) == fit == len(ledger.charges(0))
    shared = [charge.release_id for client in (1, 2) for charge in ledger.charges(client)]
    assert sorted(shared) == sorted(paid)


def test_a_plan_would_make_less_of_sampled_charges_and_as_much_of_gaussian_ones(
    tmp_path: Path,
) -> None:
    ledger, five = opened(tmp_path, 16.0), replace(SAMPLED, releases=5)
    for number in range(5):
        ledger.charge("sampled", SAMPLED, release_id=f"sampled {number}")
        ledger.charge("exact", ONE, release_id=f"exact {number}")
        ledger.charge("mixed", ONE if number % 2 else SAMPLED, release_id=f"mixed {number}")
    planned = {c: ledger.spent_if_planned(c) for c in ledger.clients()}
    assert planned["sampled"] == epsilon_and_accountant(five, DELTA)[0]
    assert planned["sampled"] < 0.6 * ledger.spent("sampled")
    assert planned["exact"] == pytest.approx(ledger.spent("exact"), rel=1e-9)
    mixed = compose([replace(ONE, releases=2), replace(SAMPLED, releases=3)])
    assert planned["mixed"] == epsilon_and_accountant(mixed, DELTA)[0] < ledger.spent("mixed")
    assert ledger.spent_if_planned("nobody") == 0.0
