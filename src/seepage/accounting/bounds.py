"""The best that any attack can do against a mechanism, from its privacy profile.

A profile is delta(epsilon); its trade-off function f(a) is the least false-negative rate of
any test of one record at false-positive rate a. Every bound here reads off f:
f(a) = sup_eps max(0, 1 - delta - e^eps a, e^-eps (1 - delta - a)) (Dong, Roth & Su 2019,
proposition 2.12). A supremum over fewer epsilons only loosens a bound, so it stays valid.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from math import inf, log, sqrt

import numpy as np
from scipy.special import log_ndtr, ndtr, ndtri

from ..core.errors import UsageError
from ..core.intervals import Floats
from .gaussian import delta_of

_AUC_CELLS = 2000


class Profile(ABC):
    """What a mechanism's guarantee allows an attacker; subclasses give `delta`.

    The bounds hold for the unit and adjacency that the profile was computed for, and so
    for every smaller unit (a client's profile bounds attacks on each of its records).
    """

    @property
    @abstractmethod
    def information_bits(self) -> float:
        """Return a bound on the bits that all releases tell of one unit's data."""

    @property
    def given_sampled(self) -> Profile:
        """Return what is allowed against records that are known to be behind the view.

        Where units are sampled, that knowledge takes the amplification away from the view's
        own releases; where they are not, this is the profile itself.
        """
        return self

    @abstractmethod
    def delta(self, epsilon: Floats) -> Floats:
        """Return delta at each epsilon >= 0 (ascending), in [0, 1]."""

    @abstractmethod
    def trade_off(self, fpr: Floats) -> Floats:
        """Return the least false-negative rate at each false-positive rate in [0, 1]."""

    def max_tpr(self, fpr: float) -> float:
        """Return the largest true-positive rate of any membership test at `fpr`."""
        if not 0 <= fpr <= 1:
            raise UsageError(f"the false-positive rate is {fpr}; use a number from 0 to 1")
        return float(np.clip(1 - self.trade_off(np.array([fpr]))[0], fpr, 1))

    def rero(self, kappa: float) -> float:
        """Return the largest chance to reconstruct a record that a blind guess hits at `kappa`.

        The blow-up 1 - f(kappa) of Hayes, Mahloujifar & Balle 2023 (arXiv 2302.07225, theorem 2).
        """
        return self.max_tpr(kappa)

    def max_auc(self) -> float:
        """Return the largest area under the ROC curve of any membership test, 1 - integral f."""
        # f is convex, so the midpoint rule never exceeds its integral.
        middles = (np.arange(_AUC_CELLS) + 0.5) / _AUC_CELLS
        return float(np.clip(1 - self.trade_off(middles).mean(), 0.5, 1))

    def max_accuracy(self) -> float:
        """Return the largest accuracy on a secret bit with even odds, (1 + delta(0)) / 2."""
        return float((1 + self.delta(np.zeros(1))[0]) / 2)


@dataclass(frozen=True)
class GaussianProfile(Profile):
    """mu-GDP in closed form; `mu` >= 0 and finite.

    >>> round(GaussianProfile(0.387).rero(0.01), 3)
    0.026
    """

    mu: float

    @property
    def information_bits(self) -> float:
        """Return mu^2 / 2 nats, the divergence of the two Gaussians, in bits."""
        return self.mu**2 / 2 / log(2)

    def delta(self, epsilon: Floats) -> Floats:
        """Return delta at each epsilon."""
        return delta_of(epsilon, self.mu)

    def trade_off(self, fpr: Floats) -> Floats:
        """Return Phi(Phi^-1(1 - fpr) - mu)."""
        return ndtr(-ndtri(fpr) - self.mu)

    def max_auc(self) -> float:
        """Return Phi(mu / sqrt 2)."""
        return float(ndtr(self.mu / sqrt(2)))


@dataclass(frozen=True)
class Unprotected(Profile):
    """No guarantee that bounds an attack: it may succeed always; `bits` may be told."""

    bits: float = inf

    @property
    def information_bits(self) -> float:
        """Return the bits."""
        return self.bits

    def delta(self, epsilon: Floats) -> Floats:
        """Return 1 everywhere."""
        return np.ones_like(epsilon)

    def trade_off(self, fpr: Floats) -> Floats:
        """Return 0 everywhere."""
        return np.zeros_like(fpr)


@dataclass(frozen=True)
class Replaced(Profile):
    """What a guarantee for leaving a unit out allows where one unit is replaced by another.

    That is two steps, out with the one and in with the other: f(1 - f(a)), and at twice epsilon
    (1 + e^epsilon) delta (Dong, Roth & Su 2019, theorem 2.14; Vadhan 2017, lemma 2.2).

    >>> round(Replaced(GaussianProfile(0.5)).max_auc() - GaussianProfile(1.0).max_auc(), 3)
    0.0
    """

    left_out: Profile

    @property
    def information_bits(self) -> float:
        """Return infinity: bits of the two steps don't add up to a bound."""
        return inf

    def delta(self, epsilon: Floats) -> Floats:
        """Return delta at each epsilon, which two steps of half of it allow."""
        half = epsilon / 2
        return np.minimum((1 + np.exp(half)) * self.left_out.delta(half), 1.0)

    def trade_off(self, fpr: Floats) -> Floats:
        """Return f(1 - f(fpr))."""
        return self.left_out.trade_off(1 - self.left_out.trade_off(fpr))


class CurveProfile(Profile):
    """A profile of which delta is known on a grid of epsilons alone."""

    @cached_property
    @abstractmethod
    def curve(self) -> tuple[Floats, Floats]:
        """Return epsilons `[m]`, ascending from 0, and their deltas `[m]`."""

    def trade_off(self, fpr: Floats) -> Floats:
        """Return the upper envelope of the two lines that each grid point allows."""
        epsilon, delta = self.curve
        rest, a = (1 - delta)[:, None], np.asarray(fpr)[None, :]
        steep = rest - np.exp(epsilon)[:, None] * a
        flat = np.exp(-epsilon)[:, None] * (rest - a)
        return np.maximum(np.maximum(steep, flat).max(axis=0), 0.0)


def rero_bound(mu: float, prior: float) -> float:
    """Return the largest chance to reconstruct a record from mu-GDP releases.

    `prior` is the chance of the best blind guess, in [0, 1], and `mu` is 0 or more; `inf`
    allows everything. Reached by two opposite candidates.

    >>> round(rero_bound(2.0, 0.01), 3)
    0.372
    """
    if not mu >= 0:
        raise UsageError(f"mu is {mu}; use 0 or more")
    return (Unprotected() if mu == inf else GaussianProfile(mu)).rero(prior)


def antipodal_success(mu: float) -> float:
    """Return the best chance to tell two opposite candidates apart from mu-GDP releases.

    Phi(mu), for candidates at the two ends of what clipping lets through: they differ by
    twice the norm that `mu` is of, and a blind guess is right half the time.
    """
    return rero_bound(mu, 0.5)


def orthogonal_success(mu: float, candidates: int) -> float:
    """Return the best chance to pick the truth among n orthogonal candidates of equal norm.

    Of a Gaussian release of one of them, each `mu` standard deviations long and equally
    likely: the largest correlation wins, which is the truth's with probability
    integral phi(z) Phi(z + mu)^(n-1) dz.

    >>> round(orthogonal_success(2.0, 100), 3)
    0.323
    """
    if not mu >= 0:
        raise UsageError(f"mu is {mu}; use 0 or more")
    if candidates < 1:
        raise UsageError(f"there are {candidates} candidates; use 1 or more")
    z = np.linspace(-13.0, 13.0, 20_001)
    weights = np.exp(-(z**2) / 2)
    success = float(weights @ np.exp((candidates - 1) * log_ndtr(z + mu)) / weights.sum())
    return min(success, 1.0)
