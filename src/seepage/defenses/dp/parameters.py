"""Parameters that cards of several formal defenses describe alike."""

from __future__ import annotations

from ...core.cards import Parameter

NOISE_MULTIPLIER = Parameter(
    name="noise_multiplier",
    default=1.0,
    summary="standard deviation of the noise in clipping norms, 0 or more",
)
MAX_GRAD_NORM = Parameter(
    name="max_grad_norm",
    default=1.0,
    summary="L2 norm that a record's gradient is clipped to, above 0",
)
