"""Privacy loss distributions: the tight accountant of any mechanism.

Estimates are pessimistic (connect-the-dots, Doroshenko et al. 2022), so every grid gives a
valid epsilon, and a finer one a smaller epsilon: the grid is refined until that moves by
less than 1 %.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import inf, isfinite
from typing import Any

import numpy as np

from ..core.intervals import Floats
from .bounds import CurveProfile, GaussianProfile, Profile
from .gaussian import epsilon_of
from .mechanism import Mechanism
from .rdp import rdp_epsilon

_SETTLED = 0.01
_FINER = 4.0
_MOST_POINTS = 2_000_000
_CURVE_POINTS = 400
_LARGEST_EXPONENT = 600.0
_BEYOND_ALL = 1e12
_TAIL = 1e-15


@dataclass(frozen=True, eq=False)
class LossProfile(CurveProfile):
    """The profile of a composed privacy loss distribution (both directions, the worse)."""

    mechanism: Mechanism
    distribution: Any
    interval: float
    target_delta: float

    def epsilon(self, delta: float) -> float:
        """Return epsilon of all releases at `delta`; `inf` below the tails' truncation."""
        if self._delta_at(_LARGEST_EXPONENT) <= delta:
            return float(self.distribution.get_epsilon_for_delta(delta))
        # The library's own inversion underflows here, and answers infinity or a quantile.
        low, high = _LARGEST_EXPONENT, 2 * _LARGEST_EXPONENT
        while self._delta_at(high) > delta:
            low, high = high, 2 * high
            if high > _BEYOND_ALL:
                return inf
        while high - low > max(self.interval, 1e-4 * high):
            middle = (low + high) / 2
            low, high = (middle, high) if self._delta_at(middle) > delta else (low, middle)
        return high

    def _delta_at(self, epsilon: float) -> float:
        return float(self.distribution.get_delta_for_epsilon(epsilon))

    def delta(self, epsilon: Floats) -> Floats:
        """Return delta at each epsilon (ascending)."""
        # Above the largest exponent floats overflow, and an earlier delta is valid there.
        at = np.minimum(epsilon, _LARGEST_EXPONENT)
        return np.clip(np.asarray(self.distribution.get_delta_for_epsilon(at)), 0.0, 1.0)

    @cached_property
    def curve(self) -> tuple[Floats, Floats]:
        """Return the profile up to where delta is 1e-9, densest near 0."""
        end = min(self.epsilon(1e-9), _LARGEST_EXPONENT)
        even = np.linspace(0.0, end, _CURVE_POINTS)
        epsilon = np.union1d(even, np.geomspace(1e-4, 1.0, _CURVE_POINTS) * end)
        return epsilon, self.delta(epsilon)

    @property
    def given_sampled(self) -> Profile:
        """Return what is allowed where the record is known to be behind the view."""
        entered = self.mechanism.entered()
        if entered.mu is not None:
            return GaussianProfile(entered.mu)
        if entered == self.mechanism:
            return self
        return loss_profile(entered, self.target_delta)

    @property
    def information_bits(self) -> float:
        """Return the divergence of all releases, in bits."""
        return self.mechanism.divergence_bits()


@lru_cache(maxsize=16)
def loss_profile(mechanism: Mechanism, delta: float) -> LossProfile:
    """Return the profile of all releases, fine enough for its epsilon at `delta`.

    The mechanism is protected and not exactly Gaussian. Refinement also ends where a grid would
    exceed two million points: the estimate then is loose, never too low.
    """
    finest = _reach(mechanism) / _MOST_POINTS
    interval = max(min(_scale(mechanism, delta) / 500, 10.0), finest)
    profile, points = _compose(mechanism, interval, delta)
    epsilon = profile.epsilon(delta)
    while isfinite(epsilon) and points * _FINER <= _MOST_POINTS and interval / _FINER >= finest:
        interval /= _FINER
        finer, points = _compose(mechanism, interval, delta)
        before, epsilon = epsilon, finer.epsilon(delta)
        profile = finer
        if before - epsilon <= _SETTLED * epsilon:
            break
    return profile


def _scale(mechanism: Mechanism, delta: float) -> float:
    """Return the order of magnitude of the total epsilon, > 0."""
    by_mu = epsilon_of(mechanism.mu_bound, delta)
    scale = min(by_mu, rdp_epsilon(mechanism, delta))
    return max(scale, 1e-6) if isfinite(scale) else 1.0


def _reach(mechanism: Mechanism) -> float:
    """Return about how far the losses of one release reach; 0 where that is not known."""
    bound = mechanism.once().mu_bound
    return epsilon_of(bound, _TAIL) if isfinite(bound) else 0.0


def _compose(mechanism: Mechanism, interval: float, delta: float) -> tuple[LossProfile, int]:
    """Return the composed profile on a grid, and how many cells its upper tail takes."""
    profile = LossProfile(
        mechanism=mechanism,
        distribution=mechanism.loss(interval),
        interval=interval,
        target_delta=delta,
    )
    return profile, int(min(profile.epsilon(1e-12) / interval, _MOST_POINTS)) + 1
