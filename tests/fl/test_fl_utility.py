from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from fl_jobs import job, mlp, seeded
from sklearn.metrics import accuracy_score, r2_score, roc_auc_score
from torch import nn

from seepage.core.intervals import clopper_pearson
from seepage.fl.engine import train
from seepage.fl.utility import r2_interval, utility


def _pool(task, side):
    records = [getattr(c, side) for c in task.clients]
    return torch.cat([r.inputs for r in records]), torch.cat([r.targets for r in records])


def test_accuracy_and_losses_are_those_of_the_pooled_records_in_evaluation_mode():
    task = job(lambda: mlp(64, last=nn.Dropout(0.5)), n=40, rounds=200, lr=0.2)
    model = train(task, seed=0).model
    score = utility(model.train(), task)
    assert model.training
    model.eval()
    assert score["metric"] == "accuracy"
    for name, side in (("test", "holdout"), ("train", "train")):
        x, y = _pool(task, side)
        with torch.no_grad():
            outputs = model(x)
        assert score[name] == pytest.approx(accuracy_score(y, outputs.argmax(1)))
        assert score[f"{name}_loss"] == pytest.approx(F.cross_entropy(outputs, y).item(), rel=1e-5)
    assert score["train"] > 0.9 > score["test"] + 0.5


def test_regression_is_scored_by_r2():
    task = job()
    clients = tuple(
        replace(
            c,
            **{
                s: replace(getattr(c, s), targets=getattr(c, s).inputs.mean((1, 2, 3)))
                for s in ("train", "holdout")
            },
        )
        for c in task.clients
    )
    task = replace(
        task,
        classes=0,
        clients=clients,
        loss=lambda out, y: F.mse_loss(out.squeeze(-1), y),
        build=seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 1))),
    )
    model = train(task, seed=0).model
    score = utility(model, task)
    x, y = _pool(task, "holdout")
    assert score["metric"] == "r2"
    assert score["test"] == pytest.approx(r2_score(y, model(x).detach().flatten()), rel=1e-5)


def test_limits_hold_the_score_on_more_records_of_the_kind():
    rng = torch.Generator().manual_seed(0)
    missed = {"accuracy": 0, "r2": 0}
    for _ in range(100):
        hit = torch.rand(60, generator=rng) < 0.8
        low, high = clopper_pearson(float(hit.sum()), 60)
        missed["accuracy"] += not low <= 0.8 <= high
        x = torch.randn(200, generator=rng)
        low, high = r2_interval(x, x + torch.randn(200, generator=rng))
        missed["r2"] += not low <= 0.5 <= high
    assert max(missed.values()) <= 10


def test_the_gap_and_the_auc_of_two_classes_are_those_of_the_pooled_records():
    task = job(lambda: mlp(64), n=40, rounds=60, lr=0.2)
    clients = tuple(
        replace(
            c,
            train=replace(c.train, targets=c.train.targets % 2),
            holdout=replace(c.holdout, targets=c.holdout.targets % 2),
        )
        for c in task.clients
    )
    task = replace(task, clients=clients, classes=2)
    model = train(task, seed=0).model
    score = utility(model, task)
    assert score["gap"] == pytest.approx(score["train"] - score["test"])
    assert score["gap_ci"][0] < score["gap"] < score["gap_ci"][1]
    for name, side in (("test", "holdout"), ("train", "train")):
        x, y = _pool(task, side)
        with torch.no_grad():
            outputs = model(x)
        margin = outputs[:, 1] - outputs[:, 0]
        assert score[f"{name}_auc"] == pytest.approx(roc_auc_score(y, margin))
    one = replace(
        task,
        clients=tuple(
            replace(c, holdout=c.holdout.take(c.holdout.targets.nonzero().flatten()))
            for c in clients
        ),
    )
    assert "test_auc" not in utility(model, one)
    assert "train_auc" in utility(model, one)
