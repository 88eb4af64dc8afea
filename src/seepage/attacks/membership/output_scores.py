"""Scores of single answers of a model: how sure it is, and how right.

All are of the probabilities p of the classes, in doubles; p_y near 1 keeps its order, because
1 - p_y is taken from the logit phi (`confidence`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import logsigmoid

from ...core.errors import NotApplicableError
from .confidence import confidence, log_probabilities, squared_errors

if TYPE_CHECKING:
    from torch import Tensor

SCORES = ("loss", "confidence", "entropy", "modified-entropy")


def answer_scores(score: str, outputs: Tensor, targets: Tensor, classes: int) -> Tensor:
    """Return one of `SCORES` of answers that are logits or probabilities, `[n]`.

    `loss` is log p_y, or the negative squared error for a regression (0 classes). Raises
    `NotApplicableError` where the outputs do not fit the targets or the score.

    >>> answers, truth = torch.tensor([[0.5, 0.5], [0.0, 1.0]]), torch.tensor([1, 1])
    >>> answer_scores("modified-entropy", answers, truth, 2).exp()
    tensor([0.5000, 1.0000], dtype=torch.float64)
    """
    if not classes:
        if score != "loss":
            raise NotApplicableError(
                f"{score} is of probabilities of classes: a regression has none"
            )
        return -squared_errors(outputs, targets)
    phi = confidence(outputs, targets, classes)
    if score == "loss":
        return logsigmoid(phi)
    if score == "confidence":
        return -torch.sigmoid(-phi)
    logs = log_probabilities(outputs, targets).log_softmax(1)
    if score == "entropy":
        return (logs.exp() * logs).sum(1)
    wrong = torch.ones_like(logs).scatter(1, targets.long()[:, None], 0.0)
    others = logs.exp() * torch.log1p(-logs.exp().clamp_max(1 - torch.finfo(logs.dtype).eps))
    return torch.sigmoid(-phi) * logsigmoid(phi) + (wrong * others).sum(1)
