"""Membership in one client's data, with the other clients' updates as the null distribution.

Clients hold different records. So the other clients' updates say how well a candidate
would agree with an update that it had no part in: how easy the record is, and how far
training has come, cancel out. With c_k the cosine between the candidate's negative gradient
and client k's update in a round (form II of FedMIA: Zhu et al. 2024, "FedMIA", arXiv
2402.06289), or the candidate's negative loss under client k's local model (form I), the
target's z-score against the others is

    z = (c_target - mean of c_other) / std of c_other

and a candidate's score is the mean of z over the rounds. The tail probability Phi(z) orders
candidates alike in one round, but rounds to 1 and would tie those of highest score.

With few other clients a candidate's own variance v is mostly chance, and a small one makes
non-members stand out. So it is pooled with the mean variance of all candidates, as in
Smyth 2004 (doi 10.2202/1544-6115.1027):

    (d v + pooling * mean v) / (d + pooling),  d = others - 1
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ...core.claims import MembershipScores
from ...core.errors import NotApplicableError, UsageError
from ...core.names import nearest
from .candidate_losses import known_candidates, local_losses
from .gradient_dots import gradient_dots

if TYPE_CHECKING:
    from torch import Tensor

    from ...core.views import HistoryView

SCORES = ("cosine", "loss")

FEWEST_CLIENTS = 3
"""Clients in a round without which the others have no standard deviation."""

_LEAST_DEVIATION = 1e-6


@dataclass(frozen=True, kw_only=True, slots=True)
class FedMIA:
    """Scores candidates by how far one client's update stands out from the others'.

    Fields
    ------
    score : `cosine` of gradient and update, or `loss` under the client's local model
    pooling : degrees of freedom that the variance pooled over candidates counts for, >= 0;
        0 leaves each candidate its own variance
    """

    score: str = "cosine"
    pooling: float = 4.0

    def __post_init__(self) -> None:
        if self.score not in SCORES:
            raise UsageError(f"fed-mia: score is {self.score!r}{nearest(self.score, SCORES)}")

    def __call__(self, view: HistoryView, rng: torch.Generator) -> MembershipScores:  # noqa: ARG002
        """Return a score for each candidate, `[n]`.

        Raises `NotApplicableError` where no round shows the client and at least two others.
        """
        candidates = known_candidates(view)
        scores: list[Tensor] = []
        for seen in view.rounds:
            if view.client not in seen.updates or len(seen.updates) < FEWEST_CLIENTS:
                continue
            if self.score == "loss":
                clients, losses = local_losses(view.model, view.loss, candidates, seen)
                agreement = -losses
            else:
                found = gradient_dots(view.model, view.loss, candidates, seen)
                clients, agreement = found.clients, found.cosines()
            scores.append(z_scores(agreement, clients.index(view.client), self.pooling))
        if not scores:
            raise NotApplicableError(
                f"no round shows client {view.client} and two others to hold it against"
            )
        return MembershipScores(scores=torch.stack(scores).mean(0))


def z_scores(agreement: Tensor, target: int, pooling: float) -> Tensor:
    """Return how many standard deviations column `target` of `[n, k]` is above the others.

    >>> z_scores(torch.tensor([[4.0, 0.0, 2.0]]), 0, 0.0)
    tensor([2.1213])
    """
    others = torch.cat([agreement[:, :target], agreement[:, target + 1 :]], dim=1)
    freedom = others.shape[1] - 1
    variance = others.var(1)
    variance = (freedom * variance + pooling * variance.mean()) / (freedom + pooling)
    return (agreement[:, target] - others.mean(1)) / variance.sqrt().clamp_min(_LEAST_DEVIATION)
