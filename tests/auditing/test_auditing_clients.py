"""Was this hospital in: the question in a whole audit, its splits, and its bounds."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt
from typing import Any

import pytest
import torch

import seepage
from seepage.accounting.bounds import GaussianProfile, Replaced
from seepage.auditing.bounds import covering
from seepage.auditing.cells import Cell, Measured
from seepage.auditing.exposure import exposure
from seepage.auditing.federations import Federations
from seepage.auditing.spec import from_plan
from seepage.auditing.splits import split_task, splits
from seepage.core.errors import NotApplicableError
from seepage.core.plan_reader import plan_from_json
from seepage.core.registry import card
from seepage.core.seeds import torch_rng
from seepage.core.threat import Observer
from seepage.defenses import DPSGD, CentralDP, DistributedDP, LocalDP

ROUNDS = 30


def plan(clients: int = 8, **changes: Any) -> Any:
    """A job whose clients learn a dozen records each by heart."""
    return plan_from_json(
        {
            "seed": 1,
            "budget": "none",
            "observers": ["model-holder"],
            "tasks": [
                {
                    "name": "t",
                    "data": {"source": "digits", "clients": clients, "train_limit": 12},
                    "model": {"name": "mlp", "width": 64},
                    "training": {
                        "rounds": ROUNDS,
                        "batch_size": 0,
                        "local_steps": 20,
                        "lr": 0.2,
                    },
                }
            ],
            "attacks": [{"name": "user-level", "shadows": 8}],
            "gate": {"tolerance": 0.1, "metrics": ["auc"]},
            **changes,
        }
    )


def test_clients_that_a_model_learned_by_heart_are_found(tmp_path: Any) -> None:
    finding = seepage.audit_plan(plan(), source="test", out=tmp_path / "run")["user-level"]
    assert finding.value > 0.9
    assert finding.null == pytest.approx(0.5)
    assert finding.verdict == "leak"
    assert finding.n == 80
    assert finding.details["clients"] == 8
    assert finding.details["federations"] == 10
    assert finding.membership is None  # it is of clients, and names no record
    assert finding.bound is None


def test_few_clients_are_withheld_with_the_reason(tmp_path: Any) -> None:
    result = seepage.audit_plan(plan(clients=3), source="test", out=tmp_path / "run")
    (missing,) = result.not_run
    assert "withheld" in missing.reason
    assert "has 3" in missing.reason
    assert result.verdict == "inconclusive"


def test_each_client_is_in_as_often_as_out_by_coins_of_its_own() -> None:
    for clients in (4, 9, 60):
        found = torch.stack(splits(clients, torch_rng(0)))
        assert torch.equal(found.sum(0), torch.full((clients,), len(found) // 2))
        assert 2 <= len(found) <= 16
        assert torch.equal(found[::2], ~found[1::2])
    first = torch.cat([splits(8, torch_rng(seed))[0] for seed in range(200)]).double()
    assert abs(float(first.mean()) - 0.5) < 3 * 0.5 / 1600**0.5
    with pytest.raises(NotApplicableError, match="withheld"):
        splits(3, torch_rng(0))


def test_who_stands_in_is_nobody_the_attacker_knows() -> None:
    task = from_plan(plan(), source="test").jobs[0].task
    present = torch.arange(8) % 2 == 0
    found = split_task(task, present, torch_rng(3))
    known = set(found.auxiliary.rows.tolist())
    asked = {row for c in task.clients for row in c.train.rows.tolist()}
    rows: list[int] = []
    for was, now, here in zip(task.clients, found.clients, present.tolist(), strict=True):
        rows += now.train.rows.tolist()
        assert (now.train is was.train) is here
        assert here or not asked & set(now.train.rows.tolist())
        assert len(now.train) == 12
    assert len(rows) == len(set(rows))
    assert not known & set(rows)
    other = split_task(task, ~present, torch_rng(3))
    assert torch.equal(other.auxiliary.rows, found.auxiliary.rows)
    few = replace(task, auxiliary=task.auxiliary.take(torch.arange(15)))
    with pytest.raises(NotApplicableError, match="stand in for 8"):
        split_task(few, present, torch_rng(3))


def test_a_split_is_trained_as_the_job_is_and_the_same_split_once() -> None:
    here = from_plan(plan(), source="test").jobs[0]
    federations = Federations(here, seed=1, width=3)
    present = torch.arange(8) < 4
    found = federations.split("defended", present, 2)
    assert found is federations.split("defended", present, 2)
    assert found.task.training == here.task.training
    assert found.replica == 2
    assert not found.rounds
    assert found.states


def bounds_on(*defenses: Any) -> list[float]:
    """The AUC that each guarantee allows a model holder who asks of whole clients."""
    here = replace(from_plan(plan(), source="test").jobs[0], defenses=defenses)
    cell = Cell(
        task="t",
        observer=Observer.MODEL_HOLDER,
        attack=card("attacks", "user-level"),
        settings={},
        moment="final",
        view="model",
    )
    measured = Measured(cell=cell, defended=(), twin=())
    return [p.max_auc() for p in covering(measured, here, exposure(here, 1e-5))]


def test_guarantees_for_clients_bound_it_and_those_for_records_do_not() -> None:
    """One client replaced: 2 sqrt(T) / z, whether a mechanism speaks of that or of leaving out."""
    expected = GaussianProfile(2 * sqrt(ROUNDS) / 8).max_auc()
    local = bounds_on(LocalDP(noise_multiplier=8.0))
    central = bounds_on(CentralDP(noise_multiplier=8.0))
    assert local == [pytest.approx(expected, abs=1e-6)]
    assert central == [pytest.approx(expected, abs=2e-3)]
    distributed = DistributedDP(noise_multiplier=8.0)
    here = from_plan(plan(), source="test").jobs[0]
    alone = distributed.profile(exposure(here, 1e-5))
    assert bounds_on(distributed) == [Replaced(alone).max_auc()]
    assert bounds_on(distributed)[0] > alone.max_auc()
    assert bounds_on(DPSGD(noise_multiplier=8.0)) == []
