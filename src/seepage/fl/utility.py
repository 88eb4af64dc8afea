"""What a model is good for: its score on held-out and on training records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from .predict import predict

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..core.task import Records, Task


def utility(model: nn.Module, task: Task) -> dict[str, float | str]:
    """Return `metric`, `test` and `train`, and the losses `test_loss` and `train_loss`.

    `metric` is `accuracy`, or `r2` (coefficient of determination) for regression; `test`
    is over the holdouts of all clients together, `train` over their training records. A
    side without records is left out.
    """
    score: dict[str, float | str] = {"metric": "accuracy" if task.classes else "r2"}
    sides = {
        "test": [client.holdout for client in task.clients],
        "train": [client.train for client in task.clients],
    }
    for side, records in sides.items():
        inputs, targets = _pooled(records)
        if not len(targets):
            continue
        outputs = predict(model, inputs)
        with torch.no_grad():
            score[f"{side}_loss"] = float(task.loss(outputs, targets))
        score[side] = accuracy(outputs, targets) if task.classes else r2(outputs, targets)
    return score


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


def _pooled(records: Sequence[Records]) -> tuple[Tensor, Tensor]:
    return torch.cat([r.inputs for r in records]), torch.cat([r.targets for r in records])
