"""Membership from the angle between a record's gradient and a client's updates.

An update sums the negative gradients of the records that it was computed on. In a large
network gradients of other records are nearly orthogonal, so a record's own part shows:

    score(x) = mean over rounds of cos(-grad loss(x; w_t), update_t)

(Li, Li & Ribeiro 2022, "Effective passive membership inference attacks in federated
learning against overparameterized models").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ...core.claims import MembershipScores
from ...core.errors import NotApplicableError
from ...core.views import SeenRound
from .candidate_losses import known_candidates
from .gradient_dots import gradient_dots

if TYPE_CHECKING:
    from ...core.views import HistoryView


@dataclass(frozen=True, kw_only=True, slots=True)
class GradientCosine:
    """Scores candidates by their mean cosine with one client's updates.

    It has no hyper-parameters.
    """

    def __call__(self, view: HistoryView, rng: torch.Generator) -> MembershipScores:  # noqa: ARG002
        """Return a score for each candidate, `[n]`, in -1..1.

        Rounds in which the client took no part are skipped; `NotApplicableError` where that
        is all of them, or there are no candidates.
        """
        candidates = known_candidates(view)
        cosines = [
            gradient_dots(
                view.model,
                view.loss,
                candidates,
                SeenRound(seen.round, seen.state, {view.client: seen.updates[view.client]}),
            ).cosines()[:, 0]
            for seen in view.rounds
            if view.client in seen.updates
        ]
        if not cosines:
            raise NotApplicableError(f"client {view.client} took part in none of the rounds seen")
        return MembershipScores(scores=torch.stack(cosines).mean(0))
