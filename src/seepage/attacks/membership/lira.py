"""The likelihood-ratio attack (LiRA), on shadow federations.

A record's confidence phi is nearly normal over federations trained with it, and over those
trained without it. Online, the score is the ratio of their likelihoods at the target's phi,

    log N(phi; mu_in, s_in^2) - log N(phi; mu_out, s_out^2),

and offline how far phi lies above what federations without the record give it, in s_out
(Carlini et al. 2022, "Membership Inference Attacks From First Principles", arXiv 2112.03570,
algorithm 1 and eq. 4). With few shadows one variance for all records does better (section
VI-A). Over several global models the ratios are added up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ...core.claims import MembershipScores
from ...core.errors import NotApplicableError, UsageError, require_least
from ...core.names import nearest
from ...core.views import AuxiliaryData
from .candidate_losses import known_candidates
from .confidence import confidence_of, confidence_seen
from .shadows import shadows_of, times_in

if TYPE_CHECKING:
    from torch import Tensor

    from .shadows import ShadowedView

VARIANCES = ("auto", "own", "pooled")
ENOUGH_FOR_OWN = 64
_LEAST = 1e-12


@dataclass(frozen=True, kw_only=True, slots=True)
class LiRA:
    """Scores candidates by how their confidence differs with and without them.

    Fields
    ------
    shadows : federations to train, >= 4
    online : whether half of them train on a candidate; else, or where candidates are so many
        that each would be in too few of them, none does
    variance : each record's `own`, one `pooled` over all records, or `auto`: own from 64 shadows
        on
    """

    shadows: int = 16
    online: bool = True
    variance: str = "auto"

    def __post_init__(self) -> None:
        require_least("lira", self, shadows=4)
        if self.variance not in VARIANCES:
            raise UsageError(
                f"lira: variance is {self.variance!r}{nearest(self.variance, VARIANCES)}"
            )

    def __call__(self, view: ShadowedView, rng: torch.Generator) -> MembershipScores:  # noqa: ARG002
        """Return a score for each candidate, `[n]`.

        Raises `NotApplicableError` where the observer can't simulate, or where a candidate
        is in no shadow, or in all.
        """
        asked = known_candidates(view)
        records = AuxiliaryData(asked.inputs, asked.targets)
        seen = confidence_seen(view)
        pooled = self.variance == "pooled" or (
            self.variance == "auto" and self.shadows < ENOUGH_FOR_OWN
        )
        online = self.online and times_in(view, self.shadows) >= _least_times(pooled)
        shadows = shadows_of(view, self.shadows, online=online)
        phi = torch.stack(
            [confidence_of(f, records, view.job.classes) for f in shadows.federations]
        )
        inside = shadows.inside[:, : len(asked.targets)]
        scores = likelihood_ratios(seen, phi, inside, pooled=pooled)
        kind = "online" if online else "offline"
        return MembershipScores(scores=scores, note=f"{self.shadows} shadow federations, {kind}")


def likelihood_ratios(seen: Tensor, phi: Tensor, inside: Tensor, *, pooled: bool) -> Tensor:
    """Return the score of each record, `[n]`, added up over the global models.

    `seen` `[t, n]` are confidences under the target, `phi` `[k, t, n]` under the shadows, and
    `inside` `[k, n]` says which of them were trained on a record: where none was on any, the
    score is offline. Raises `NotApplicableError` where a record is in no shadow, or in all.
    """
    without = _normal(phi, ~inside, pooled=pooled)
    if not bool(inside.any()):
        return ((seen - without[0]) / without[1]).sum(0)
    within = _normal(phi, inside, pooled=pooled)
    return (_log_density(seen, *within) - _log_density(seen, *without)).sum(0)


def _least_times(pooled: bool) -> int:
    """Return how often a record must be seen for a mean, and a variance of its own."""
    return 1 if pooled else 2


def _normal(phi: Tensor, chosen: Tensor, *, pooled: bool) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of phi over the `chosen` `[k, n]`, each `[t, n]`."""
    weight = chosen[:, None].to(phi.dtype)
    count = weight.sum(0)
    if bool((count < _least_times(pooled)).any()):
        raise NotApplicableError(
            "a candidate is in too few of the shadow federations, or in too many: train more"
        )
    mean = (phi * weight).sum(0) / count
    squares = ((phi - mean).square() * weight).sum(0)
    if pooled:
        freedom = (count - 1).sum(1, keepdim=True).clamp_min(1)
        return mean, (squares.sum(1, keepdim=True) / freedom).clamp_min(_LEAST).sqrt()
    return mean, (squares / (count - 1)).clamp_min(_LEAST).sqrt()


def _log_density(x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Return log N(x; mean, std^2) but for a constant."""
    return -((x - mean) / std).square() / 2 - std.log()
