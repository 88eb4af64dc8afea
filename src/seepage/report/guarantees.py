"""What canaries showed of a claimed epsilon, in words."""

from __future__ import annotations

from ..core.guarantees import GuaranteeTest
from .words import epsilon


def tested(test: GuaranteeTest) -> str:
    """Return what a test of a guarantee shows, and what it could have shown."""
    claim = f"claimed epsilon {epsilon(test.claimed)} with the canaries in it ({test.mechanism})"
    how = (
        f"{test.canaries} {test.kind} canaries, {test.attack} by {test.observer}, {test.method}, "
        f"{test.confidence:.0%} confidence"
    )
    if test.refuted:
        return f"REFUTED: {claim} is at least {epsilon(test.epsilon)} ({how})"
    shown = f"at least {epsilon(test.epsilon)} was shown" if test.epsilon else "no leak was shown"
    return (
        f"not refuted: {claim}; {shown}, where {epsilon(test.power)} would show if it is exactly "
        f"true and {epsilon(test.most)} if nothing is protected ({how})"
    )
