"""What a cell measured, in a form that can be stored and judged anew.

Verdicts depend on all findings together (Holm), so a cell keeps its samples, not its
verdict.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ..core.intervals import Difference, Estimate, Rate
from ..core.seeds import numpy_rng
from ..metrics.membership import (
    AUC,
    TPR,
    auc_gain,
    enough_for,
    realized_fpr,
    tpr_gain,
)

FPR_OF = {"tpr_at_1pct_fpr": 0.01, "tpr_at_01pct_fpr": 0.001}


@dataclass(frozen=True, slots=True)
class Known:
    """A figure without uncertainty."""

    value: float

    def interval(self, level: float = 0.95) -> tuple[float, float]:  # noqa: ARG002 - Estimate
        """Return the value twice."""
        return self.value, self.value


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """A metric with its null control and its prior.

    `paired` is value - null, and `over_prior` value - prior, where both were measured on the
    same victims.
    """

    value: Estimate
    null: Estimate
    prior: Estimate
    paired: Estimate | None = None
    over_prior: Estimate | None = None

    @property
    def baseline(self) -> Estimate:
        """Return the greater of null and prior."""
        return max(self.null, self.prior, key=lambda e: e.value)

    @property
    def gain(self) -> Estimate:
        """Return value - max(null, prior).

        Where the greater was measured on the same victims, their paired difference is that
        gain with what chance did to both taken out.
        """
        same = self.paired if self.null.value >= self.prior.value else self.over_prior
        return same or Difference(self.value, self.baseline)


@dataclass(frozen=True, kw_only=True, slots=True)
class RateEvidence:
    """The share of victims hit in each independent draw, by the view, null and prior.

    `paired`: each draw is one victim (a share is 0 or 1), the same for all three.
    """

    metric: str
    value: tuple[float, ...]
    null: tuple[float, ...]
    prior: tuple[float, ...]
    n: int
    paired: bool = False
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def units(self) -> int:
        """Return the number of independent draws."""
        return len(self.value)

    def measure(self) -> Measure:
        """Return the estimates."""
        value, null, prior = (np.array(part) for part in (self.value, self.null, self.prior))
        return Measure(
            value=Rate(value),
            null=Rate(null),
            prior=Rate(prior),
            paired=_won(value, null) if self.paired else None,
            over_prior=_won(value, prior) if self.paired else None,
        )


def _won(value: np.ndarray, other: np.ndarray) -> Difference:
    """Return value - other of hits `[n]` on the same victims: what one alone got, and the other."""
    won, lost = (value > other).astype(float), (other > value).astype(float)
    return Difference(Rate(won), Rate(lost))


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreEvidence:
    """Membership scores of members and others, by the view and by its null."""

    metric: str
    members: tuple[float, ...]
    others: tuple[float, ...]
    null_members: tuple[float, ...]
    null_others: tuple[float, ...]
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def n(self) -> int:
        """Return the number of candidates."""
        return len(self.members) + len(self.others)

    @property
    def units(self) -> int:
        """Return the number of members: each is one independent victim."""
        return len(self.members)

    def measure(self) -> Measure:
        """Return the estimates; the prior guesses at random."""
        members = np.array([self.members, self.null_members]).T
        others = np.array([self.others, self.null_others]).T
        (scores, null) = ((members[:, i], others[:, i]) for i in (0, 1))
        if self.metric == "auc":
            return Measure(
                value=AUC.of(*scores),
                null=AUC.of(*null),
                prior=Known(0.5),
                paired=auc_gain(members, others),
            )
        fpr = FPR_OF[self.metric]
        rng = numpy_rng(0, "bootstrap", self.metric)
        return Measure(
            value=TPR.of(*scores, fpr, rng),
            null=TPR.of(*null, fpr, rng),
            prior=Known(fpr),
            paired=tpr_gain(members, others, fpr, rng),
        )


Evidence = RateEvidence | ScoreEvidence


def membership_evidence(
    scores: np.ndarray, null: np.ndarray, member: np.ndarray, *, left_out: str = ""
) -> tuple[ScoreEvidence, ...]:
    """Return evidence for each metric that so many non-members can carry.

    Scores `[n]` from the view, `null` `[n]` from the null control, `member` `[n]` bool;
    `left_out` says which records were not asked about, and why.
    """
    others = int((~member).sum())
    details: dict[str, Any] = {"left_out": left_out} if left_out else {}
    for metric, fpr in FPR_OF.items():
        if enough_for(fpr, others):
            details[f"realized_{metric.removeprefix('tpr_at_')}"] = realized_fpr(
                scores[~member], fpr
            )
        else:
            details[metric] = f"withheld: {others} non-members, {round(10 / fpr):,} needed"
    kept = [m for m, fpr in FPR_OF.items() if enough_for(fpr, others)]
    return tuple(
        ScoreEvidence(
            metric=metric,
            members=tuple(map(float, scores[member])),
            others=tuple(map(float, scores[~member])),
            null_members=tuple(map(float, null[member])),
            null_others=tuple(map(float, null[~member])),
            details=details,
        )
        for metric in (*kept, "auc")
    )


def to_json(evidence: Evidence) -> dict[str, Any]:
    """Return plain types from which `from_json` restores the evidence exactly."""
    return {"kind": type(evidence).__name__, **asdict(evidence)}


def from_json(data: Mapping[str, Any]) -> Evidence:
    """Restore evidence."""
    values: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in data.items() if k != "kind"
    }
    kind = ScoreEvidence if data["kind"] == "ScoreEvidence" else RateEvidence
    return kind(**values)
