"""Whether a whole client took part, by all of its records at once.

One record tells little of membership, a hospital's hundreds tell more: they were all trained
on, or none was. The evidence of a client u is the mean over its records of the confidence phi,

    T_u = mean_{x of u} phi(x) - mean_v T'_v,

less the mean T' over all clients asked about, so that how well a federation happened to be
trained cancels out. It is held against shadow federations with and without the whole client,
as in LiRA: log N(T_u; in) - log N(T_u; out). `reference` is the statistic of Kandpal et al. 2023
("User Inference Attacks on Large Language Models", arXiv 2310.09266): the mean over the
records of log p(x) / p_ref(x), where the shadows without the client are the reference. (Before:
Song & Shmatikov 2019, arXiv 1811.00513, who train a classifier on such answers.)

A small client's mean varies more than a large one's: T is counted in its own spread over the
shadows, which few shadows know so badly that it is drawn to that of all clients.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import logsigmoid, one_hot

from ...core.claims import MembershipScores
from ...core.errors import NotApplicableError, UsageError, require_least
from ...core.names import nearest
from ...core.views import AuxiliaryData, CandidateClients, Candidates
from .client_shadows import client_shadows
from .confidence import confidence_of, confidence_seen
from .lira import likelihood_ratios

if TYPE_CHECKING:
    from torch import Tensor

    from .shadows import ShadowedView

SCORES = ("likelihood-ratio", "reference")

POOLED = 8.0
"""Shadow federations that the spread of all clients counts for in that of each."""

_LEAST = 1e-12


@dataclass(frozen=True, kw_only=True, slots=True)
class UserLevel:
    """Scores whole clients against shadow federations with and without them.

    Fields
    ------
    shadows : federations to train, >= 4; half of them have a client's records
    score : `likelihood-ratio` or `reference`
    """

    shadows: int = 16
    score: str = "likelihood-ratio"

    def __post_init__(self) -> None:
        require_least("user-level", self, shadows=4)
        if self.score not in SCORES:
            raise UsageError(f"user-level: score is {self.score!r}{nearest(self.score, SCORES)}")

    def __call__(self, view: ShadowedView, rng: torch.Generator) -> MembershipScores:  # noqa: ARG002
        """Return a score for each client asked about, `[clients]`.

        Raises `NotApplicableError` where there are no such clients, or one only, where the
        observer can't simulate, or has too few records for it.
        """
        asked = view.fact(CandidateClients)
        if asked is None or int(asked.client.max()) < 1:
            raise NotApplicableError("the view names no two clients that may have taken part")
        shadows = client_shadows(view, asked, self.shadows)
        records = AuxiliaryData(asked.inputs, asked.targets)
        named = replace(view, facts=(*view.facts, Candidates(asked.inputs, asked.targets)))
        seen = confidence_seen(named)
        phi = torch.stack(
            [confidence_of(f, records, view.job.classes) for f in shadows.federations]
        )
        note = f"{self.shadows} shadow federations, half of them with each client"
        if self.score == "reference":
            scores = _references(seen, phi, shadows.inside[:, asked.client], view.job.classes)
            return MembershipScores(scores=client_means(scores, asked.client), note=note)
        means, shadowed = (_contrast(client_means(part, asked.client)) for part in (seen, phi))
        spread = own_spread(shadowed, shadows.inside)
        scores = likelihood_ratios(means / spread, shadowed / spread, shadows.inside, pooled=True)
        return MembershipScores(scores=scores, note=note)


def client_means(values: Tensor, client: Tensor) -> Tensor:
    """Return the mean of values `[..., n]` over each client's records, `[..., clients]`.

    >>> client_means(torch.tensor([1.0, 3.0, 8.0]), torch.tensor([0, 0, 1]))
    tensor([2., 8.], dtype=torch.float64)
    """
    own = one_hot(client).double()
    return values.double() @ (own / own.sum(0))


def own_spread(phi: Tensor, inside: Tensor) -> Tensor:
    """Return the standard deviation of each client's `phi` `[k, t, clients]`, `[t, clients]`.

    About its two means, of the shadows that are `inside` `[k, clients]` and those that are not;
    the variance of all clients counts as much as `POOLED` shadows.
    """
    rest = torch.zeros_like(phi)
    for chosen in (inside, ~inside):
        weight = chosen[:, None].to(phi.dtype)
        mean = (phi * weight).sum(0) / weight.sum(0)
        rest += (phi - mean) * weight
    freedom = len(phi) - 2
    own = rest.square().sum(0) / freedom
    drawn = (freedom * own + POOLED * own.mean(1, keepdim=True)) / (freedom + POOLED)
    return drawn.clamp_min(_LEAST).sqrt()


def _contrast(means: Tensor) -> Tensor:
    return means - means.mean(-1, keepdim=True)


def _references(seen: Tensor, phi: Tensor, inside: Tensor, classes: int) -> Tensor:
    """Return log p / p_ref of each record, `[n]`, the mean over the global models seen."""
    logs = [logsigmoid(part) if classes else part for part in (seen, phi)]
    without = (~inside)[:, None].to(phi.dtype)
    usual = (logs[1] * without).sum(0) / without.sum(0)
    return (logs[0] - usual).mean(0)
