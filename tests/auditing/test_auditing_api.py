"""`seepage.audit` on one's own model, loss and data."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from torch import nn

import seepage
from seepage.auditing.cells import Attacker, Job, enumerate_cells
from seepage.auditing.federations import Federations
from seepage.auditing.measuring import Laboratory
from seepage.auditing.replay import replay
from seepage.auditing.spec import from_plan
from seepage.core.errors import UsageError
from seepage.core.plan import Component, Plan, TaskPlan
from seepage.core.registry import card
from seepage.core.task import Task, Training
from seepage.core.threat import Observer

CHEAP = ["fully-connected", "label-counts", "loss"]


def digits() -> tuple[np.ndarray, np.ndarray]:
    inputs, targets = load_digits(return_X_y=True)
    return inputs / 16, targets


def mlp(inputs: int = 64, outputs: int = 10) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(inputs, 128), nn.ReLU(), nn.Linear(128, outputs))


def small_task() -> Task:
    training = Training(rounds=6, batch_size=4)
    plan = TaskPlan(model=Component(name="mlp", settings={"width": 32}), training=training)
    return from_plan(Plan(tasks=(plan,)), source="test").jobs[0].task


def test_a_users_model_is_audited_and_left_as_it_was(tmp_path: Path) -> None:
    model = mlp()
    before = [p.clone() for p in model.parameters()]
    result = seepage.audit(
        model,
        lambda outputs, targets: nn.functional.cross_entropy(outputs, targets),
        digits(),
        batch_size=4,
        attacks=CHEAP,
        observers=["honest-server", "model-holder"],
        out=tmp_path / "run",
    )
    assert result.verdict == "leak"
    assert result["fully-connected"].value > 0.95
    assert result["fully-connected"].prior < 0.05
    assert {f.metric for f in result.findings} == {"identification_rate", "label_rate", "auc"}
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert result.save(tmp_path / "r.sarif").exists()
    again = seepage.Result.load(tmp_path / "run")
    assert again.findings[0].id == result.findings[0].id
    with pytest.raises(UsageError, match="from Python"):
        replay(again, again.findings[0].id)


def test_tables_and_regression_run_too() -> None:
    inputs, targets = load_diabetes(return_X_y=True)
    scaled = ((targets - targets.mean()) / targets.std()).astype(np.float32)
    result = seepage.audit(
        nn.Sequential(nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 1), nn.Flatten(0)),
        nn.MSELoss(),
        (inputs, scaled),
        batch_size=2,
        attacks=["fully-connected", "loss"],
        observers=["honest-server", "model-holder"],
    )
    assert result["fully-connected"].verdict == "leak"
    inputs, targets = load_breast_cancer(return_X_y=True)
    inputs = (inputs - inputs.mean(0)) / inputs.std(0)
    result = seepage.audit(
        mlp(30, 2),
        nn.CrossEntropyLoss(),
        (inputs, targets),
        batch_size=4,
        attacks=["fully-connected"],
        observers=["honest-server"],
        defenses=[seepage.defenses.SecureAggregation()],
    )
    finding = result["fully-connected"]
    assert finding.control.kind == "twin"
    assert finding.control.leaked
    assert finding.value < finding.control.value


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"observers": ["honest-sever"]}, "did you mean 'honest-server'?"),
        ({"attacks": ["dlgg"]}, "did you mean 'dlg'?"),
        ({"clients": 10_000}, "clients"),
        ({"lr": 0}, "lr"),
        ({"budget": -1}, "budget"),
        ({"gate": 5}, "between 0 and 1"),
        ({"defenses": ["dp-sgd"]}, "instances"),
        ({"data": (np.eye(64), np.arange(64) % 11)}, "output"),
        ({"model": mlp(63)}, "63"),
        ({"loss": nn.CrossEntropyLoss(reduction="none")}, "mean"),
        ({"data": (np.full((50, 64), np.nan), np.zeros(50, int))}, "nan"),
        ({"defenses": [seepage.defenses.DPSGD()], "model": "batch-norm"}, "BatchNorm"),
    ],
)
def test_what_does_not_fit_is_said(arguments: dict, words: str) -> None:
    norm = nn.Sequential(nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Linear(8, 10))
    chosen = {"model": mlp(), "loss": nn.CrossEntropyLoss(), "data": digits(), **arguments}
    if chosen["model"] == "batch-norm":
        chosen["model"] = norm
    with pytest.raises(UsageError, match=words) as caught:
        seepage.audit(chosen.pop("model"), chosen.pop("loss"), chosen.pop("data"), **chosen)
    assert "\n" not in str(caught.value)


def test_a_null_control_is_found_where_all_draws_share_records() -> None:
    result = seepage.audit(
        mlp(),
        nn.CrossEntropyLoss(),
        digits(),
        batch_size=0,
        rounds=3,
        clients=4,
        attacks=["label-counts"],
        observers=["honest-server"],
        defenses=[seepage.defenses.SecureAggregation()],
    )
    finding = next(f for f in result.findings if f.attack == "label-counts")
    assert 0.2 < finding.null < finding.value


def test_an_attack_that_only_the_defense_defeats_is_a_gap_in_the_audit() -> None:
    job = Job(task=small_task(), defenses=(seepage.defenses.TopK(),))
    lab = Laboratory(
        job=job,
        federations=Federations(job, seed=0, width=2),
        seed=0,
        units=4,
        tolerance=0.05,
        store=None,  # pyright: ignore[reportArgumentType] - nothing is stored
        include_records=False,
    )
    attacker = Attacker(card=card("attacks", "fully-connected"), settings={})
    cells, _ = enumerate_cells([job], [attacker], [Observer.HONEST_SERVER])
    assert not lab.inapplicable_to_twin(next(c for c in cells if c.attack is attacker.card))
