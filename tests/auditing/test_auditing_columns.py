"""Attribute inference counts only what it gains over the imputation that needs no model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from reach import holds
from seepage.auditing.attempts import Attempts
from seepage.auditing.cells import Attacker, Cell, Job, enumerate_cells
from seepage.auditing.columns import check_columns, column_views
from seepage.auditing.evidence import RateEvidence, from_json, to_json
from seepage.auditing.federations import Federations
from seepage.core.columns import column_asked
from seepage.core.errors import DataError, NotApplicableError
from seepage.core.registry import card
from seepage.core.task import Task
from seepage.core.threat import Observer
from seepage.core.views import PartialRecords, Simulation
from seepage.fl.attribute_views import ask_column
from tables import columns, job

SERVER, HOLDER, USER = Observer.HONEST_SERVER, Observer.MODEL_HOLDER, Observer.MODEL_USER
ATTACK = "attribute-inference"


def cells(task: Task, observers: tuple[Observer, ...], **settings: Any) -> list[Cell]:
    attacker = Attacker(card=card("attacks", ATTACK), settings=settings)
    return enumerate_cells([Job(task=task)], [attacker], observers)[0]


def measured(task: Task, *observers: Observer, **settings: Any) -> dict[str, RateEvidence]:
    """Evidence by observer, on one federation."""
    whole = Job(task=task)
    attempts = Attempts(job=whole, federations=Federations(whole, seed=0, width=1), seed=0)
    found: dict[str, RateEvidence] = {}
    for cell in cells(task, observers, **settings):
        (evidence,) = attempts.run(cell, cell.attack.build(settings), "defended", 1).evidence
        assert isinstance(evidence, RateEvidence)
        assert evidence.details == {"column": "own"}
        found[cell.observer] = evidence
    return found


def test_a_column_learned_by_heart_is_a_gain() -> None:
    """Labels are noise, so the model can but remember the records, the column among them."""
    task = job(4, width=64, noisy=True, rounds=80, batch_size=0, local_steps=5, lr=0.5)
    found = measured(task, SERVER, HOLDER, USER, shadows=4)
    assert found[HOLDER].value == found[USER].value  # the weights add nothing to the answers
    for observer, evidence in found.items():
        measure = evidence.measure()
        assert evidence.n == 160
        assert measure.prior.value < 0.36, observer  # four values, told by nothing
        assert measure.null.value < 0.36, observer
        assert measure.gain.interval()[0] > 0, observer
        assert from_json(to_json(evidence)) == evidence


def test_what_imputation_tells_as_well_is_no_gain() -> None:
    """The column is guessed nine times in ten, and the model adds nothing to that."""
    task = job(held=300, others=600, tied=3.0, rounds=20, batch_size=16, lr=0.1)
    for observer, evidence in measured(task, SERVER, HOLDER, USER, shadows=4).items():
        measure = evidence.measure()
        assert measure.value.value > 0.85, observer
        low, high = measure.gain.interval()
        assert low <= 0, observer
        assert high < 0.05, observer  # so a clear is possible


def test_full_batch_gradients_are_equations_that_a_server_solves() -> None:
    """24 records of one client, ten rounds: what it sends is solved for every value."""
    task = job(held=24, width=32, rounds=10, batch_size=0, lr=0.2)
    evidence = measured(task, SERVER)[SERVER]
    measure = evidence.measure()
    assert measure.value.value == 1
    assert measure.null.value < 0.75  # another client's updates don't tell
    assert measure.prior.value < 0.75


@pytest.mark.parametrize("observer", [SERVER, HOLDER, USER])
def test_the_column_is_nowhere_in_what_the_attacker_sees(observer: Observer) -> None:
    task = job(3, held=12, rounds=2, batch_size=0)
    (cell,) = cells(task, (observer,))
    federations = Federations(Job(task=task), seed=0, width=1)
    rng = torch.Generator().manual_seed(0)
    asked = column_views(cell.view, federations, "defended", cell, rng)
    truths = [client.train.inputs for client in task.clients]
    for view, null, truth in asked:
        partial = view.fact(PartialRecords)
        assert partial is not None
        assert bool((partial.inputs[:, partial.column.features] == 0).all())
        completed = partial.completed()[torch.arange(len(truth.value)), truth.value]
        rows = torch.cat(truths)
        assert bool((completed[:, None] == rows).all(-1).any(1).all())  # the truth is true
        for seen in (view, null):
            told = replace(seen, facts=[f for f in seen.facts if not isinstance(f, Simulation)])
            assert not any(holds(told, whole) for whole in (*truths, truth.value))


def test_columns_that_cannot_be_asked_for_are_named() -> None:
    task = job()
    attacker = Attacker(card=card("attacks", ATTACK), settings={"column": "owm"})
    with pytest.raises(DataError, match="no column is called 'owm'; did you mean 'own'"):
        check_columns([Job(task=task)], [attacker])
    with pytest.raises(DataError, match="300 different numbers"):
        check_columns([Job(task=task)], [replace(attacker, settings={"column": "x1"})])
    rng = torch.Generator()
    own = column_asked(task.columns, "")
    assert own.name == "own"
    alone = replace(task, auxiliary=task.auxiliary.take(torch.arange(0)))
    with pytest.raises(NotApplicableError, match="no auxiliary records"):
        ask_column(alone, own, rng)
    kept = torch.nonzero(task.auxiliary.inputs[:, own.first] == 1).flatten()
    same = replace(task, auxiliary=task.auxiliary.take(kept))
    with pytest.raises(NotApplicableError, match="the same value in column 'own'"):
        ask_column(same, own, rng)
    with pytest.raises(NotApplicableError, match="no column of categories is known"):
        column_asked(columns(2)[:-1], "")
    with pytest.raises(NotApplicableError, match="no table"):
        column_asked((), "own")
