"""What a model is good for: its score on held-out and on training records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import hypot, sqrt
from typing import TYPE_CHECKING, Any

import torch
from scipy.special import ndtri

from ..core.intervals import clopper_pearson
from ..metrics.membership import AUC
from .predict import predict

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..core.task import Records, Task


def utility(model: nn.Module, task: Task) -> dict[str, Any]:
    """Return `metric`, `test` and `train` with their limits, numbers of records and losses.

    `metric` is `accuracy`, or `r2` (coefficient of determination) for regression; `test`
    is over the holdouts of all clients together, `train` over their training records:
    the score, `_ci` (95 %, over other records of the kind), `_n` and `_loss`; of two classes
    also `_auc` and `_auc_ci`, where both are there. A side without records is left out. `gap`
    is train less test, what the model knows of its records alone, with `gap_ci` by the square-
    and-add method (Zou and Donner 2008).
    """
    score: dict[str, Any] = {"metric": "accuracy" if task.classes else "r2"}
    sides = {
        "test": [client.holdout for client in task.clients],
        "train": [client.train for client in task.clients],
    }
    for side, records in sides.items():
        inputs, targets = _pooled(records)
        n = len(targets)
        if not n:
            continue
        outputs = predict(model, inputs)
        with torch.no_grad():
            score[f"{side}_loss"] = float(task.loss(outputs, targets))
        if task.classes:
            score[side] = accuracy(outputs, targets)
            score[f"{side}_ci"] = clopper_pearson(score[side] * n, n)
        else:
            score[side] = r2(outputs, targets)
            score[f"{side}_ci"] = r2_interval(outputs, targets)
        score[f"{side}_n"] = n
        if task.classes == 2 and 0 < int(targets.sum()) < n:
            margin = (outputs[:, 1] - outputs[:, 0]).double()
            auc = AUC.of(margin[targets == 1].numpy(), margin[targets == 0].numpy())
            score |= {f"{side}_auc": auc.value, f"{side}_auc_ci": auc.interval()}
    if score.keys() >= sides.keys():
        score |= _gap(score)
    return score


def _gap(score: Mapping[str, Any]) -> dict[str, Any]:
    train, test = score["train"], score["test"]
    (least, most), (low, high) = score["train_ci"], score["test_ci"]
    gap = train - test
    limits = gap - hypot(train - least, high - test), gap + hypot(most - train, test - low)
    return {"gap": gap, "gap_ci": limits}


def accuracy(outputs: Tensor, targets: Tensor) -> float:
    """Return the share of outputs `[n, classes]` whose largest entry is the target's.

    >>> accuracy(torch.eye(2), torch.tensor([0, 0]))
    0.5
    """
    return float((outputs.argmax(-1) == targets).double().mean())


def r2(outputs: Tensor, targets: Tensor) -> float:
    """Return 1 - residual / total sum of squares, 0 where all targets are the same.

    >>> r2(torch.tensor([[1.0], [3.0]]), torch.tensor([1.0, 3.0]))
    1.0
    """
    actual = targets.double().flatten()
    total = float((actual - actual.mean()).square().sum())
    residual = float((actual - outputs.double().flatten()).square().sum())
    return 1 - residual / total if total else 0.0


def r2_interval(outputs: Tensor, targets: Tensor) -> tuple[float, float]:
    """Return 95 % limits of `r2` over other records of the kind, by the delta method.

    1 - r2 is a ratio of means, whose variance is that of residual^2 - (1 - r2) deviation^2
    over n and the squared denominator (Cochran 1977, chapter 6).
    """
    actual = targets.double().flatten()
    value = r2(outputs, targets)
    residual = (actual - outputs.double().flatten()).square()
    deviation = (actual - actual.mean()).square()
    spread = float((residual - (1 - value) * deviation).std(correction=0))
    total = float(deviation.mean())
    reach = float(ndtri(0.975)) * spread / (sqrt(len(actual)) * total) if total else 0.0
    return value - reach, min(1.0, value + reach)


def _pooled(records: Sequence[Records]) -> tuple[Tensor, Tensor]:
    return torch.cat([r.inputs for r in records]), torch.cat([r.targets for r in records])
