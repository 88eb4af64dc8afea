"""`seepage.audit` on one's own model, loss and data."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from torch import nn

import seepage
from seepage.auditing.replay import replay
from seepage.core.errors import UsageError

CHEAP = ["fully-connected", "label-counts", "final-loss"]


def digits() -> tuple[np.ndarray, np.ndarray]:
    inputs, targets = load_digits(return_X_y=True)
    return inputs / 16, targets


def mlp(inputs: int = 64, outputs: int = 10) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(inputs, 128), nn.ReLU(), nn.Linear(128, outputs))


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
        attacks=["fully-connected", "final-loss"],
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
