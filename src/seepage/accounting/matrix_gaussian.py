"""Matrix-factorization noise of DP-FTRL: correlated over steps, so that prefix sums stay near.

With the steps' clipped contributions as rows of x, the releases are x + C^-1 z, a function of
C x + z, so they are mu-GDP with mu = max ||C dx|| / sigma, also when each step depends on the
releases before it (Denisov et al. 2022, arXiv 2202.08312, theorem 2.1). C is the square root
of the prefix-sum matrix: Toeplitz, with C_k = (2k choose k) / 4^k (Fichtenberger, Henzinger &
Upadhyay 2023, arXiv 2202.11205). C is nonnegative, so contributions that point one way are
the worst; it decreases along columns, so the worst unit comes as early and as densely as it
may: at steps 0, b, 2b, ... (Kalinin & Lampert 2024, arXiv 2405.13763, theorem 2).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any, ClassVar

import numpy as np

from ..core.errors import UsageError, require_least
from ..core.intervals import Floats
from .mechanism import Mechanism
from .sampled_gaussian import SampledGaussian, require_adjacency


@dataclass(frozen=True, kw_only=True)
class MatrixGaussian(Mechanism):
    """A run of noisy steps with square-root Toeplitz noise.

    Fields
    ------
    releases : number of steps, >= 1
    noise_multiplier : standard deviation of z / clipping norm, >= 0
    participations : the most steps that one unit enters, >= 1
    min_separation : the least distance between two of these steps, >= 1
    adjacency : `add-remove`, `zero-out` (a contribution of at most one clipping norm comes
        or goes in each step) or `replace` (two)
    """

    kind: ClassVar[str] = "matrix-gaussian"

    noise_multiplier: float
    participations: int = 1
    min_separation: int = 1
    adjacency: str = "add-remove"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_least(self.kind, self, participations=1, min_separation=1)
        if not (self.noise_multiplier >= 0 and isfinite(self.noise_multiplier)):
            raise UsageError(
                f"noise_multiplier is {self.noise_multiplier}; use a finite number of 0 or more"
            )
        require_adjacency(self.adjacency)

    @property
    def sensitivity(self) -> float:
        """Return max ||C dx|| in clipping norms, over every pattern of participation."""
        column = sqrt_toeplitz(self.releases)
        worst = np.zeros(self.releases)
        for start in range(0, self.releases, self.min_separation)[: self.participations]:
            worst[start:] += column[: self.releases - start]
        return (2.0 if self.adjacency == "replace" else 1.0) * float(np.linalg.norm(worst))

    @property
    def mu(self) -> float:
        """Return the sensitivity over the noise."""
        return self._as_one().mu_bound

    @property
    def mu_bound(self) -> float:
        """Return mu."""
        return self.mu

    def renyi(self, orders: Floats) -> Floats:
        """Return mu^2 order / 2."""
        return self._as_one().renyi(orders)

    def loss(self, interval: float) -> Any:
        """Return the loss distribution of the whole run; `noise_multiplier` is > 0."""
        return self._as_one().loss(interval)

    def divergence_bits(self) -> float:
        """Return mu^2 / 2 nats in bits."""
        return self._as_one().divergence_bits()

    def joined(self, other: Mechanism) -> Mechanism | None:  # noqa: ARG002
        """Return None: two runs are not one longer run."""
        return None

    def _as_one(self) -> SampledGaussian:
        """Return one Gaussian release that gives away as much as the run."""
        return SampledGaussian(noise_multiplier=self.noise_multiplier / self.sensitivity)


def sqrt_toeplitz(steps: int) -> Floats:
    """Return the first column `[steps]` of C: 1, 1/2, 3/8, ...

    >>> sqrt_toeplitz(3).tolist()
    [1.0, 0.5, 0.375]
    """
    k = np.arange(1.0, steps)
    return np.cumprod(np.concatenate([[1.0], (2 * k - 1) / (2 * k)]), dtype=np.float64)


def inverse_sqrt_toeplitz(steps: int) -> Floats:
    """Return the first column `[steps]` of C^-1: 1, -1/2, -1/8, ...

    >>> inverse_sqrt_toeplitz(3).tolist()
    [1.0, -0.5, -0.125]
    """
    k = np.arange(1.0, steps)
    return np.cumprod(np.concatenate([[1.0], (2 * k - 3) / (2 * k)]), dtype=np.float64)


def prefix_error(steps: int) -> float:
    """Return the largest error of a prefix sum, in sigmas of an independent single release.

    For single participation: the longest row of A C^-1 = C times the sensitivity. Independent
    noise has sqrt(steps).

    >>> round(prefix_error(500), 2)
    3.04
    """
    norm = float(np.linalg.norm(sqrt_toeplitz(steps)))
    return norm * norm
