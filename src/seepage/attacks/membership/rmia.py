"""The relative membership inference attack (RMIA), on shadow federations.

A record is a member if the target makes it likelier, against reference federations, than it
makes other records of the population:

    score = share of population records z with  r(x) / r(z) >= gamma,   r(x) = p(x|target) / p(x),

where p(x) is the mean of p(x|shadow) over shadows with and without x, half and half; offline
it is ((1 + a) p_out(x) + (1 - a)) / 2 (Zarifzadeh, Liu & Shokri 2024, "Low-Cost High-Power
Membership Inference Attacks", arXiv 2312.03262, eqs. 2 to 4 and appendix B.2.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ...core.claims import MembershipScores
from ...core.errors import NotApplicableError, UsageError, require_least
from ...core.views import AuxiliaryData, Simulated
from .candidate_losses import known_candidates
from .confidence import confidence_of
from .shadows import shadows_of

if TYPE_CHECKING:
    from torch import Tensor

    from ...core.views import ModelView

_LEAST = 1e-30


@dataclass(frozen=True, kw_only=True, slots=True)
class RMIA:
    """Scores candidates by how many population records they beat in likelihood.

    Fields
    ------
    shadows : federations to train, >= 4
    online : whether half of them train on a candidate; else none does
    gamma : how much likelier a candidate has to be, >= 1
    a : offline: how far probabilities without a record stand for those with it, in [0, 1]
    """

    shadows: int = 16
    online: bool = True
    gamma: float = 2.0
    a: float = 0.3

    def __post_init__(self) -> None:
        require_least("rmia", self, shadows=4)
        if not self.gamma >= 1:
            raise UsageError(f"rmia: gamma is {self.gamma}; use 1 or more")
        if not 0 <= self.a <= 1:
            raise UsageError(f"rmia: a is {self.a}; use a number from 0 to 1")

    def __call__(self, view: ModelView, rng: torch.Generator) -> MembershipScores:  # noqa: ARG002
        """Return a score for each candidate, `[n]`, in [0, 1].

        Raises `NotApplicableError` where the observer can't simulate or holds no auxiliary
        records, or for regression, which gives no probabilities.
        """
        if not view.job.classes:
            raise NotApplicableError("rmia compares probabilities of classes: this is regression")
        n = len(known_candidates(view).targets)
        if view.fact(AuxiliaryData) is None:
            raise NotApplicableError("rmia needs auxiliary records to stand for the population")
        shadows = shadows_of(view, self.shadows, online=self.online)
        target = _probabilities(Simulated(view.model), shadows.pool, view.job.classes)
        references = torch.stack(
            [_probabilities(f, shadows.pool, view.job.classes) for f in shadows.federations]
        )
        ratios = target / average(references, shadows.inside, a=self.a)
        scores = beaten(ratios[:n], ratios[n:], self.gamma)
        kind = "online" if self.online else "offline"
        return MembershipScores(scores=scores, note=f"{self.shadows} shadow federations, {kind}")


def average(references: Tensor, inside: Tensor, *, a: float) -> Tensor:
    """Return p(x) of each record, `[n]`, of its probabilities `[k, n]` under the shadows.

    `inside` `[k, n]` says which were trained on it. A record that is in none is taken offline.

    >>> average(torch.tensor([[0.9, 0.4], [0.5, 0.2]]), torch.tensor([[True, False]] * 1 +
    ...         [[False, False]]), a=0.3)
    tensor([0.7000, 0.5450])
    """
    within = inside.to(references.dtype)
    without = 1 - within
    p_in = (references * within).sum(0) / within.sum(0).clamp_min(1)
    p_out = (references * without).sum(0) / without.sum(0).clamp_min(1)
    both = torch.where(without.sum(0) > 0, (p_in + p_out) / 2, p_in)
    alone = ((1 + a) * p_out + (1 - a)) / 2
    return torch.where(within.sum(0) > 0, both, alone).clamp_min(_LEAST)


def beaten(candidates: Tensor, population: Tensor, gamma: float) -> Tensor:
    """Return the share of `population` ratios `[m]` that each candidate's `[n]` beats by gamma.

    >>> beaten(torch.tensor([2.0, 1.0]), torch.tensor([0.5, 1.0, 4.0]), 2.0)
    tensor([0.6667, 0.3333])
    """
    ordered = (population * gamma).sort().values
    return torch.searchsorted(ordered, candidates, right=True).to(candidates.dtype) / len(ordered)


def _probabilities(federation: Simulated, records: AuxiliaryData, classes: int) -> Tensor:
    return torch.sigmoid(confidence_of(federation, records, classes)[-1])
