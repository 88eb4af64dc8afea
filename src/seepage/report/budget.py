"""The most that any attack gets out of a release, by its epsilon record, in words."""

from __future__ import annotations

from math import isfinite

from ..core.privacy import EpsilonRecord
from .words import epsilon, percent


def ceilings(record: EpsilonRecord) -> list[tuple[str, str]]:
    """Return (what, the most of it) that any attack gets on one unit, as far as it is known."""
    found = [
        (f"TPR at {percent(float(fpr))} FPR", percent(bound))
        for fpr, bound in record.max_tpr.items()
    ]
    if record.max_accuracy is not None:
        found.append(("accuracy for a secret bit", percent(record.max_accuracy)))
    if isfinite(record.information_bits):
        found.append((f"told of one {record.unit}", f"{epsilon(record.information_bits)} bits"))
    return found


def remarks(record: EpsilonRecord) -> list[str]:
    """Return the ceilings and the Bayesian figure, a sentence each, where a record has them."""
    told: list[str] = []
    if isfinite(record.total_epsilon) and (found := ceilings(record)):
        told.append(f"no attack exceeds {', '.join(f'{most} {what}' for what, most in found)}")
    if record.bayesian_epsilon is not None:
        told.append(f"Bayesian epsilon {epsilon(record.bayesian_epsilon)}: {BAYESIAN}")
    return told


BAYESIAN = "on average over an assumed population, for no single record"
"""What a Bayesian figure holds for."""
