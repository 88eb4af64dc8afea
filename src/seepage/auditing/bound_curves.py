"""Bounds along an axis, with what was measured: trade-off (ROC) and ReRo curves."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..accounting.api import success_bound
from ..accounting.bounds import Profile
from ..core.results import Curve
from ..core.seeds import numpy_rng
from ..metrics.roc import roc
from .evidence import Evidence, RateEvidence, ScoreEvidence

FPRS = np.geomspace(1e-3, 1.0, 31)
PRIORS = np.geomspace(1e-4, 1.0, 33)
_RARE = 1000
"""A guess is never held to be rarer than one in this many, or than one in all victims."""


def rero_prior(evidence: Evidence) -> float:
    """Return the chance of a blind guess, as far as so many victims can show it."""
    measure = evidence.measure()
    return max(measure.null.value, measure.prior.value, 1 / max(evidence.n, _RARE))


def bound_curve(evidence: Evidence, profiles: Sequence[Profile]) -> Curve | None:
    """Return the curve that belongs to a metric: ROC to `auc`, ReRo to identification.

    `profiles` (at least one) all hold, so the least of their bounds does. None for metrics
    that are a point of another's curve.
    """
    if isinstance(evidence, ScoreEvidence) and evidence.metric == "auc":
        scores = np.array(evidence.members), np.array(evidence.others)
        return Curve(
            kind="roc",
            bound=_points(FPRS, lambda fpr: min(p.max_tpr(fpr) for p in profiles)),
            measured=roc(*scores, FPRS, numpy_rng(0, "roc")),
        )
    if isinstance(evidence, RateEvidence) and evidence.metric == "identification_rate":
        value = evidence.measure().value

        def most(prior: float) -> float:
            """Return the most that all profiles together allow."""
            return min(success_bound(p, evidence.metric, prior) for p in profiles)

        at = rero_prior(evidence)
        priors = np.union1d(PRIORS, [at])
        return Curve(
            kind="rero",
            bound=_points(priors, most),
            measured=((at, value.value, *value.interval()),),
        )
    return None


def _points(axis: np.ndarray, bound: Callable[[float], float]) -> tuple[tuple[float, float], ...]:
    return tuple((float(x), bound(float(x))) for x in axis)
