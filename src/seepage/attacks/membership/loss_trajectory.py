"""Membership in the job's data from the loss along the global models.

Any participant receives the global model of each round. A record that some client trains
on is fitted earlier and stays fitted, while the loss of another wanders; the mean of -loss
over the rounds is less noisy than that of any one model (the global attacker of Nasr,
Shokri & Houmansadr 2019, arXiv 1812.00910, and the loss series of Zhu et al. 2024,
arXiv 2402.06289, both look at several rounds).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ...core.claims import MembershipScores
from ...core.errors import NotApplicableError
from .candidate_losses import candidate_losses, known_candidates

if TYPE_CHECKING:
    from ...core.views import GlobalModelsView


@dataclass(frozen=True, kw_only=True, slots=True)
class LossTrajectory:
    """Scores candidates by their mean negative loss over rounds. It has no hyper-parameters."""

    def __call__(self, view: GlobalModelsView, rng: torch.Generator) -> MembershipScores:  # noqa: ARG002
        """Return a score for each candidate, `[n]`.

        Raises `NotApplicableError` where the view shows no round or no candidates.
        """
        candidates = known_candidates(view)
        if not view.rounds:
            raise NotApplicableError("the view shows no global model")
        losses = [
            candidate_losses(view.model, view.loss, candidates, state) for _, state in view.rounds
        ]
        return MembershipScores(scores=-torch.stack(losses).mean(0))
