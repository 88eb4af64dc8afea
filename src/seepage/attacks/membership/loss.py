"""Membership from the loss of the final model.

A model that overfits has a lower loss on the records it was trained on than on others:
the score of a record (x, y) is -loss(f(x), y) (Yeom, Giacomelli, Fredrikson & Jha 2018,
"Privacy risk in machine learning", arXiv 1709.01604). An observer who sees nothing but the
model's answers scores log p(y | x), or -(f(x) - y)^2 for regression.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ...core.claims import MembershipScores
from ...core.errors import NotApplicableError
from ...core.views import OutputsView
from .candidate_losses import candidate_losses, known_candidates

if TYPE_CHECKING:
    from torch import Tensor

    from ...core.views import ModelView


@dataclass(frozen=True, kw_only=True, slots=True)
class FinalLoss:
    """Scores candidates by the final model's negative loss. It has no hyper-parameters."""

    def __call__(self, view: ModelView | OutputsView, rng: torch.Generator) -> MembershipScores:  # noqa: ARG002
        """Return a score for each candidate, `[n]`.

        Raises `NotApplicableError` where there are no candidates, or where the outputs or
        the loss do not fit them.
        """
        candidates = known_candidates(view)
        if not isinstance(view, OutputsView):
            return MembershipScores(scores=-candidate_losses(view.model, view.loss, candidates))
        if view.job.classes:
            return MembershipScores(scores=log_probability(view.outputs, candidates.targets))
        return MembershipScores(scores=_negative_error(view.outputs, candidates.targets))


def log_probability(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the log-probability of the targets `[n]` under outputs `[n, classes]`.

    Rows that are probabilities are taken as they are, others as logits. From probabilities
    it is computed as -log(1 + (1 - p) / p) with 1 - p summed over the other classes:
    records whose p rounds to 1 keep their order.

    >>> log_probability(torch.tensor([[0.25, 0.75]]), torch.tensor([1])).exp()
    tensor([0.7500])
    """
    if outputs.ndim != 2 or outputs.shape[1] < 2 or len(outputs) != len(targets):
        raise NotApplicableError(
            f"outputs of shape {tuple(outputs.shape)} hold no probability of each class for "
            f"{len(targets)} candidates"
        )
    index = targets.long()[:, None]
    sums = outputs.sum(1)
    if not (bool((outputs >= 0).all()) and torch.allclose(sums, torch.ones_like(sums), atol=1e-3)):
        return outputs.log_softmax(1).gather(1, index)[:, 0]
    own = outputs.gather(1, index)[:, 0].clamp_min(torch.finfo(outputs.dtype).tiny)
    others = outputs.scatter(1, index, 0.0).sum(1)
    return -torch.log1p(others / own)


def _negative_error(outputs: Tensor, targets: Tensor) -> Tensor:
    if outputs.numel() != targets.numel():
        raise NotApplicableError(
            f"outputs of shape {tuple(outputs.shape)} are no predictions of {len(targets)} targets"
        )
    return -(outputs.reshape(len(targets), -1) - targets.reshape(len(targets), -1)).square().mean(1)
