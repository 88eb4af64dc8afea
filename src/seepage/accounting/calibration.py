"""Noise from a target: the least noise multiplier whose total epsilon is not above it."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite, sqrt

from ..core.errors import UsageError
from .mechanism import Mechanism
from .record import epsilon_and_accountant

_FIRST = 1.0
_PRECISION = 1e-4
_MOST = 1e12


def calibrate(
    with_noise: Callable[[float], Mechanism], target_epsilon: float, delta: float
) -> float:
    """Return the least noise multiplier (to 1e-4 of it) that reaches `target_epsilon`.

    `with_noise` gives the mechanism of a noise multiplier > 0; its epsilon must fall as noise
    grows. The mechanism of what is returned was accounted for, so its epsilon never exceeds
    the target. Raises `UsageError` for a target that no noise reaches.

    >>> from seepage.accounting.sampled_gaussian import SampledGaussian
    >>> round(calibrate(lambda z: SampledGaussian(noise_multiplier=z), 1.5, 1e-5), 2)
    2.58
    """
    if not (target_epsilon > 0 and isfinite(target_epsilon)):
        raise UsageError(f"target_epsilon is {target_epsilon}; use a finite number above 0")

    def reached(noise_multiplier: float) -> bool:
        """Whether this noise is enough."""
        return epsilon_and_accountant(with_noise(noise_multiplier), delta)[0] <= target_epsilon

    high = _FIRST
    while not reached(high):
        high *= 2
        if high > _MOST:
            raise UsageError(
                f"no noise gives epsilon {target_epsilon:g} here; ask for a larger one"
            )
    low = high / 2
    while low > 1 / _MOST and reached(low):
        low, high = low / 2, low
    while high - low > _PRECISION * high:
        middle = sqrt(low * high)
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high
