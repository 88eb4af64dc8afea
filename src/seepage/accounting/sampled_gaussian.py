"""The Gaussian mechanism under Poisson sampling: what every accountant here takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf, isfinite, log, sqrt

import numpy as np

from ..core.errors import UsageError
from ..core.intervals import Floats
from ..core.names import nearest

ADJACENCIES = ("add-remove", "replace", "zero-out")


@dataclass(frozen=True, kw_only=True, slots=True)
class SampledGaussian:
    """Releases of a clipped sum plus Gaussian noise.

    Fields
    ------
    noise_multiplier : noise standard deviation / clipping norm, >= 0
    sample_rate : probability with which each unit enters a release, in (0, 1]; below 1
        it must be true Poisson sampling that the observer does not see
    releases : number of releases, >= 1
    adjacency : `add-remove`, `zero-out` (both of sensitivity one clipping norm) or
        `replace` (two)
    view : number of releases that a view of one round covers, >= 1
    known : number of releases of which the observer knows that the unit entered them
    """

    noise_multiplier: float
    sample_rate: float = 1.0
    releases: int = 1
    adjacency: str = "add-remove"
    view: int = 1
    known: int = 0

    def __post_init__(self) -> None:
        if not (self.noise_multiplier >= 0 and isfinite(self.noise_multiplier)):
            raise UsageError(
                f"noise_multiplier is {self.noise_multiplier}; use a finite number of 0 or more"
            )
        if not 0 < self.sample_rate <= 1:
            raise UsageError(
                f"sample_rate is {self.sample_rate}; use a number above 0 and at most 1"
            )
        for name, value in (("releases", self.releases), ("releases in a view", self.view)):
            if not (isinstance(value, int) and value >= 1):
                raise UsageError(f"the number of {name} is {value}; use a whole number, at least 1")
        if not 0 <= self.known <= self.releases:
            raise UsageError(f"{self.known} of {self.releases} releases can't be known")
        if self.adjacency not in ADJACENCIES:
            raise UsageError(
                f"no adjacency is called {self.adjacency!r}{nearest(self.adjacency, ADJACENCIES)}"
            )

    @property
    def sensitivity(self) -> float:
        """Return the L2 sensitivity of a release in clipping norms."""
        return 2.0 if self.adjacency == "replace" else 1.0

    @property
    def amplified(self) -> bool:
        """Return whether sampling hides the unit in at least one release."""
        return self.sample_rate < 1 and self.known < self.releases

    @property
    def mu(self) -> float | None:
        """Return the Gaussian-DP parameter of all releases; None where units are sampled."""
        return None if self.amplified else self.mu_unsampled

    @property
    def mu_unsampled(self) -> float:
        """Return mu of all releases if every unit entered each: sampling only lowers it."""
        if self.noise_multiplier == 0:
            return inf
        return self.sensitivity / self.noise_multiplier * sqrt(self.releases)

    def once(self) -> SampledGaussian:
        """Return one release of the same mechanism."""
        return replace(self, releases=1, view=1, known=min(self.known, 1))

    def entered(self) -> SampledGaussian:
        """Return the mechanism as it protects records that a view is known to hold.

        Who asks how well the records behind a view are reconstructed has let out that they
        were sampled: the releases of that view are not amplified, the others are.
        """
        return replace(self, known=min(self.view, self.releases))

    def divergence_bits(self) -> float:
        """Return the Kullback-Leibler divergence of all releases, in bits.

        With P = (1-q) N(0, s^2) + q N(1, s^2) and Q = N(0, s^2) (for `replace` its mirror
        image, with mean -1) it is the larger of KL(P||Q) and KL(Q||P), times the number of
        releases: the chain rule makes it additive even when each depends on those before.
        It bounds the mutual information with one unit's data. `noise_multiplier` is > 0.
        """
        here = 1.0
        there = -1.0 if self.adjacency == "replace" else 0.0
        forward = self._expected_loss(here, there)
        sampled = max(forward, self._expected_loss(there, here), 0.0)
        whole = (self.sensitivity / self.noise_multiplier) ** 2 / 2
        return ((self.releases - self.known) * sampled + self.known * whole) / log(2)

    def _expected_loss(self, truth: float, other: float) -> float:
        """Return E[log p_truth - log p_other] under the mixture of `truth`, by quadrature."""
        z = np.linspace(-13.0, 13.0, 8001)
        weights = np.exp(-(z**2) / 2)
        weights /= weights.sum()
        total = 0.0
        for share, mean in ((1 - self.sample_rate, 0.0), (self.sample_rate, truth)):
            x = mean + self.noise_multiplier * z
            loss = self._log_ratio(x, truth) - self._log_ratio(x, other)
            total += share * float(weights @ loss)
        return total

    def _log_ratio(self, x: Floats, mean: float) -> Floats:
        """Return log((1-q) + q N(x; mean) / N(x; 0))."""
        q = self.sample_rate
        exponent = mean * (2 * x - mean) / (2 * self.noise_multiplier**2)
        if q == 1:
            return exponent
        # log1p keeps the digits where the ratio is near 1, logaddexp where it overflows.
        near = np.abs(exponent) < 1
        small = np.log1p(q * np.expm1(np.where(near, exponent, 0.0)))
        return np.where(near, small, np.logaddexp(np.log1p(-q), log(q) + exponent))
