"""Membership from how a record's gradient lies to updates, or to their sum.

An update sums the negative gradients of the records that it was computed on. In a large
network gradients of other records are nearly orthogonal, so a record's own part g shows in the
update u, by its direction or by how much of u it takes away:

    cosine       cos(-g, u)
    difference   ||G||^2 - ||G - g||^2,    G = -(batch size / lr) u

averaged over rounds (Li, Li & Ribeiro 2022, "Effective passive membership inference attacks
in federated learning against overparameterized models", equations 2 and 3). Where single
updates are hidden, u is the mean over the cohort, or what happened between two global models
that a participant receives; the question is then of all clients at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import torch

from ...core.claims import MembershipScores
from ...core.errors import NotApplicableError, UsageError
from ...core.names import nearest
from ...core.views import AggregateHistoryView, BatchSize, HistoryView, SeenRound
from .candidate_losses import known_candidates
from .gradient_dots import gradient_dots

if TYPE_CHECKING:
    from torch import Tensor

    from ...core.views import GlobalModelsView
    from .gradient_dots import GradientDots

SCORES = ("cosine", "difference")


@dataclass(frozen=True, kw_only=True, slots=True)
class GradientCosine:
    """Scores candidates by how their gradients lie to what was seen of the updates.

    Fields
    ------
    score : `cosine` or `difference`
    """

    score: str = "cosine"

    def __post_init__(self) -> None:
        if self.score not in SCORES:
            raise UsageError(
                f"gradient-cosine: score is {self.score!r}{nearest(self.score, SCORES)}"
            )

    def __call__(
        self,
        view: HistoryView | AggregateHistoryView | GlobalModelsView,
        rng: torch.Generator,  # noqa: ARG002
    ) -> MembershipScores:
        """Return a score for each candidate, `[n]`; cosines are in -1..1.

        Rounds in which the client took no part are skipped. Raises `NotApplicableError` where
        that is all of them, where there are no candidates, or where a difference is asked of an
        observer who does not know the batch size.
        """
        candidates = known_candidates(view)
        found = [
            self._of_round(view, gradient_dots(view.model, view.loss, candidates, seen))
            for seen in updates_seen(view)
        ]
        return MembershipScores(scores=torch.stack(found).mean(0))

    def _of_round(
        self, view: HistoryView | AggregateHistoryView | GlobalModelsView, found: GradientDots
    ) -> Tensor:
        if self.score == "cosine":
            return found.cosines()[:, 0]
        size = view.fact(BatchSize)
        if size is None:
            raise NotApplicableError("the batch size is not known to this observer")
        inner = -found.dots[:, 0] * size.value / view.job.lr
        return 2 * inner - found.gradient_norms.square()


def updates_seen(view: HistoryView | AggregateHistoryView | GlobalModelsView) -> list[SeenRound]:
    """Return each round with the one update that the question is about.

    Raises `NotApplicableError` where there is none.
    """
    if isinstance(view, HistoryView):
        seen = [r for r in view.rounds if view.client in r.updates]
        if not seen:
            raise NotApplicableError(f"client {view.client} took part in none of the rounds seen")
        return [SeenRound(r.round, r.state, {view.client: r.updates[view.client]}) for r in seen]
    if isinstance(view, AggregateHistoryView):
        found = [SeenRound(r.round, r.state, {0: r.aggregate}) for r in view.rounds]
    else:
        found = [
            SeenRound(number, state, {0: {n: later[n] - state[n] for n in state}})
            for (number, state), (_, later) in pairwise(view.rounds)
        ]
    if not found:
        raise NotApplicableError("the view shows no change of the global model")
    return found
