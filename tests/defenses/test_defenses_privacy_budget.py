"""Budgets that a real federation on digits spends: each round is charged before it leaves."""

import os
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from seepage.accounting import Ledger, read_ledger
from seepage.accounting.composed import compose
from seepage.accounting.mechanism import mechanism_from_json
from seepage.accounting.record import epsilon_and_accountant, mechanism_of
from seepage.core.attack import ServerMove
from seepage.core.defense import Defense
from seepage.core.errors import RefusedError
from seepage.core.plan import DataPlan
from seepage.core.privacy import Exposure
from seepage.core.task import Task, Training
from seepage.core.threat import Observer
from seepage.data.api import load
from seepage.data.partition import split
from seepage.defenses import (
    DPFTRL,
    DPSGD,
    CentralDP,
    LocalDP,
    PrivacyBudget,
    RandomizedResponse,
    SecureAggregation,
)
from seepage.fl.engine import train
from seepage.fl.malicious import malicious_round
from seepage.fl.views import aggregate_views, update_views

DELTA = 1e-5
CLIENTS, ROUNDS, FIT = 4, 6, 4
SGD = DPSGD(noise_multiplier=1.0, max_grad_norm=1.0)
LOCAL = LocalDP(noise_multiplier=2.0)


def digits(**training: int) -> Task:
    rng = np.random.default_rng(0)
    plan = DataPlan(source="digits", limit=320, clients=CLIENTS)
    dataset = load(plan, rng=rng)
    clients, auxiliary = split(dataset, plan, rng)

    def build(rng: torch.Generator) -> nn.Module:
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
        nn.init.normal_(model[1].weight, std=0.01, generator=rng)
        nn.init.zeros_(model[1].bias)
        return model

    return Task(
        name="digits",
        build=build,
        loss=nn.CrossEntropyLoss(),
        clients=clients,
        auxiliary=auxiliary,
        training=Training(**{"rounds": ROUNDS, "batch_size": 8, "lr": 0.1, **training}),
        classes=10,
    )


def exposure(task: Task, rounds: int) -> Exposure:
    held = len(task.clients[0].train)
    assert {len(client.train) for client in task.clients} == {held}
    return Exposure(
        rounds=rounds,
        local_steps=task.training.local_steps,
        batch_size=8,
        examples=held,
        clients=CLIENTS,
        cohort=task.cohort,
        delta=DELTA,
    )


def ledger(folder: Path, epsilon: float) -> Ledger:
    return Ledger(folder / "ledger.db", target_epsilon=epsilon, target_delta=DELTA)


def budget_for(folder: Path, defense: Defense, task: Task, rounds: int) -> float:
    """Return a target that `rounds` rounds fit into and one more does not."""
    (one,) = defense.privacy(exposure(task, 1))
    (job,) = defense.privacy(exposure(task, rounds))
    target = job.total_epsilon
    while True:
        trial = Ledger(folder / f"{target}.db", target_epsilon=target, target_delta=DELTA)
        if (fit := trial.remaining("c", one)) >= rounds:
            assert fit == rounds
            return target
        target *= 1.02


@pytest.mark.parametrize("defense", [SGD, LOCAL], ids=["dp-sgd", "local-dp"])
def test_a_budget_that_runs_out_midway_ends_what_clients_send(
    tmp_path: Path, defense: Defense
) -> None:
    task = digits(local_steps=2)
    book = ledger(tmp_path, budget_for(tmp_path, defense, task, FIT))
    every = range(ROUNDS)
    run = train(task, defenses=[defense, PrivacyBudget(ledger=book)], seed=0, record=every)
    free = train(task, defenses=[defense], seed=0, record=every)
    assert run.sat_out == {number: tuple(range(CLIENTS)) for number in range(FIT, ROUNDS)}
    assert free.sat_out == {}
    assert [len(run.rounds[number].released) for number in every] == [CLIENTS] * FIT + [0, 0]
    assert run.bytes_up * ROUNDS == free.bytes_up * FIT
    # Until then the ledger changes nothing, and afterwards nothing changes.
    for number in range(FIT):
        for name, value in free.rounds[number].aggregate.items():
            assert torch.equal(value, run.rounds[number].aggregate[name])
    last = free.rounds[FIT].state
    assert all(torch.equal(value, last[name]) for name, value in run.model.state_dict().items())
    assert len(update_views(run, Observer.HONEST_SERVER, every)) == CLIENTS * FIT
    # The rounds add up to what the defense says of a job of so many.
    (whole,) = defense.privacy(exposure(task, FIT))
    for client in task.clients:
        charged = [mechanism_from_json(c.mechanism) for c in book.charges(client.name)]
        assert len(charged) == FIT
        assert compose(charged) == mechanism_of(whole)
        assert book.spent_if_planned(client.name) == pytest.approx(whole.total_epsilon)
        assert whole.total_epsilon <= book.spent(client.name) * (1 + 1e-9)
    (said,) = {one.observer for one in read_ledger(book.path).clients}
    assert said == whole.observer


def test_each_client_pays_for_its_own_rounds_and_records(tmp_path: Path) -> None:
    task = digits(cohort=2)
    small = replace(task.clients[0], train=task.clients[0].train.take(torch.arange(20)))
    task = replace(task, clients=(small, *task.clients[1:]))
    book = ledger(tmp_path, 50.0)
    run = train(task, defenses=[SGD, PrivacyBudget(ledger=book)], seed=0, record=range(ROUNDS))
    asked = Counter(client for record in run.rounds.values() for client in record.released)
    assert sum(asked.values()) == 2 * ROUNDS
    for number, client in enumerate(task.clients):
        charged = book.charges(client.name)
        assert len(charged) == asked[number]
        rates = {charge.mechanism["sample_rate"] for charge in charged}
        assert rates <= {8 / len(client.train)}


def test_some_sit_out_and_the_rest_go_on(tmp_path: Path) -> None:
    task = digits()
    (one,) = LOCAL.privacy(exposure(task, 1))
    (job,) = LOCAL.privacy(exposure(task, ROUNDS))
    book = ledger(tmp_path, job.total_epsilon)
    for number in range(2):
        book.charge(task.clients[1].name, one, release_id=f"elsewhere {number}")
    budget = PrivacyBudget(ledger=book)
    run = train(task, defenses=[budget, LOCAL], seed=0, record=range(ROUNDS))
    assert run.sat_out == {ROUNDS - 2: (1,), ROUNDS - 1: (1,)}
    assert [tuple(run.rounds[n].released) for n in (3, 4)] == [(0, 1, 2, 3), (0, 2, 3)]
    assert {len(book.charges(client.name)) for client in task.clients} == {ROUNDS}


def test_a_crash_after_charging_stays_charged_and_a_retry_is_charged_anew(tmp_path: Path) -> None:
    task = digits()

    class Crash(Defense):
        """Kills the process where the update of the third round would leave."""

        left = 2 * CLIENTS

        def protect_update(self, update, rng):
            if not self.left:
                os.kill(os.getpid(), signal.SIGKILL)
            Crash.left -= 1
            return update

    child = os.fork()
    if not child:
        budget = PrivacyBudget(ledger=ledger(tmp_path, 500.0))
        train(task, defenses=[LOCAL, budget, Crash()], seed=0)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    book = ledger(tmp_path, 500.0)
    assert {len(book.charges(client.name)) for client in task.clients} == {3}
    train(task, defenses=[LOCAL, PrivacyBudget(ledger=book)], seed=0)
    assert {len(book.charges(client.name)) for client in task.clients} == {3 + ROUNDS}


def test_a_server_that_asks_again_is_charged_for(tmp_path: Path) -> None:
    task = digits()
    (job,) = LOCAL.privacy(exposure(task, ROUNDS + 1))
    book = ledger(tmp_path, job.total_epsilon)
    run = train(task, defenses=[LOCAL, PrivacyBudget(ledger=book)], seed=0, record=[0])

    def asks(_: object) -> ServerMove:
        return ServerMove(models={}, cohort=(0, 2))

    again = malicious_round(run, Observer.MALICIOUS_SERVER, 0, asks)
    assert sorted(again.rounds[0].released) == [0, 2]
    assert [len(book.charges(client.name)) for client in task.clients] == [7, 6, 7, 6]
    with pytest.raises(RefusedError, match="let no client of the move take part"):
        malicious_round(run, Observer.MALICIOUS_SERVER, 0, asks)


@pytest.mark.parametrize(
    ("defenses", "observer", "match"),
    [
        ([DPFTRL()], "honest-server", r"DP-FTRL .* not alike or not independent"),
        ([RandomizedResponse(classes=10)], "malicious-server", "not alike or not independent"),
        ([DPSGD(noise_schedule=((0, 1.0), (3, 2.0)))], "honest-server", "not alike"),
        ([], "honest-server", "state no epsilon against honest-server"),
        ([SGD], "malicious-server", "no epsilon against malicious-server .against: honest-server"),
        ([CentralDP()], "honest-server", "hide nothing from honest-server"),
        ([LocalDP(noise_multiplier=0.0)], "honest-server", "hide nothing from honest-server"),
        ([SGD, LOCAL], "honest-server", "state 2 epsilons against honest-server; keep one"),
    ],
)
def test_what_no_round_can_be_charged_for_is_refused(
    tmp_path: Path, defenses: list[Defense], observer: str, match: str
) -> None:
    book = ledger(tmp_path, 50.0)
    budget = PrivacyBudget(ledger=book, observer=observer)
    with pytest.raises(RefusedError, match=match):
        train(digits(), defenses=[*defenses, budget], seed=0)
    assert book.clients() == ()


def test_against_peers_the_aggregate_is_charged(tmp_path: Path) -> None:
    task = digits()
    central = CentralDP(noise_multiplier=1.0)
    book = ledger(tmp_path, central.privacy(exposure(task, FIT))[0].total_epsilon)
    budget = PrivacyBudget(ledger=book, observer="peer-client")
    run = train(task, defenses=[central, budget], seed=0, record=range(ROUNDS))
    assert sorted(run.sat_out) == [4, 5]
    assert epsilon_and_accountant(
        compose(mechanism_from_json(c.mechanism) for c in book.charges(task.clients[0].name)), DELTA
    )[0] == pytest.approx(book.target_epsilon)


def test_a_round_that_nobody_takes_part_in_shows_nothing(tmp_path: Path) -> None:
    task = digits()
    book = ledger(tmp_path, LOCAL.privacy(exposure(task, FIT))[0].total_epsilon)
    defenses = [LOCAL, SecureAggregation(), PrivacyBudget(ledger=book)]
    run = train(task, defenses=defenses, seed=0, record=range(ROUNDS))
    assert sorted(run.sat_out) == [4, 5]
    views = aggregate_views(run, Observer.HONEST_SERVER, range(ROUNDS))
    assert [view.round for view, _ in views] == [0, 1, 2, 3]
