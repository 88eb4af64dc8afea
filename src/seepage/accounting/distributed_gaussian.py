"""Distributed discrete Gaussian noise under secure aggregation.

Each client rounds its clipped update to a grid of spacing g and adds discrete Gaussian noise
of deviation s; only the sum is seen. A sum of n discrete Gaussians is not one: with
tau = 10 sum_{k=1}^{n-1} exp(-2 pi^2 (s/g)^2 k / (k+1)), d coordinates, and sensitivities D1
and D2 over sqrt(n) s, the Renyi epsilon of order a is at most the least of
a D2^2 / 2 + tau d,  a (D2^2 + 2 D1 tau + tau^2 d) / 2,  a (D2 + tau sqrt d)^2 / 2
for s/g >= 1/2 (Kairouz, Liu & Steinke 2021, arXiv 2102.06387, proposition 14). n is the fewest
honest clients whose noise is surely in the sum: the threshold of the protocol less those that
collude with the server. Sums are taken modulo some m afterwards, which costs accuracy and no
privacy.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, expm1, inf, isfinite, log, pi, sqrt
from typing import Any, ClassVar

import numpy as np

from ..core.errors import RefusedError, UsageError, require_least
from ..core.intervals import Floats
from ..core.names import nearest
from .dominating import loss_of_renyi
from .mechanism import Mechanism
from .sampled_gaussian import require_adjacency

ROUNDINGS = ("conditional", "stochastic", "nearest")
_LEAST_NOISE = 0.5


@dataclass(frozen=True, kw_only=True)
class DistributedGaussian(Mechanism):
    """Noisy integer sums of which an observer sees nothing but the total.

    Fields
    ------
    noise_multiplier : standard deviation of one client's noise / clipping norm, >= 0
    honest : fewest honest clients whose noise is in each sum, >= 1
    dimension : number of coordinates, >= 1
    granularity : spacing of the grid / clipping norm, > 0
    rounding : `nearest`, `stochastic`, or `conditional` (stochastic, drawn anew until the norm
        is one that a share `1 - beta` of draws keeps)
    beta : of conditional rounding, in (0, 1)
    adjacency : `zero-out` (the client adds noise to zeros) or `replace`
    """

    kind: ClassVar[str] = "distributed-gaussian"
    renyi_only: ClassVar[bool] = True

    noise_multiplier: float
    honest: int
    dimension: int
    granularity: float
    rounding: str = "conditional"
    beta: float = exp(-0.5)
    adjacency: str = "zero-out"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_least(self.kind, self, honest=1, dimension=1)
        if not (self.noise_multiplier >= 0 and isfinite(self.noise_multiplier)):
            raise UsageError(
                f"noise_multiplier is {self.noise_multiplier}; use a finite number of 0 or more"
            )
        if not (self.granularity > 0 and isfinite(self.granularity)):
            raise UsageError(f"granularity is {self.granularity}; use a finite number above 0")
        if self.rounding not in ROUNDINGS:
            known = nearest(self.rounding, ROUNDINGS)
            raise UsageError(f"no rounding is called {self.rounding!r}{known}")
        if not 0 < self.beta < 1:
            raise UsageError(f"beta is {self.beta}; use a number between 0 and 1")
        require_adjacency(self.adjacency)
        if self.adjacency == "add-remove":
            raise RefusedError(
                "distributed-gaussian: a client that is removed takes its noise with it, which "
                "add-remove does not cover; use zero-out or replace"
            )

    @property
    def rounded_norm(self) -> float:
        """Return the largest L2 norm of a rounded contribution in clipping norms."""
        g, root = self.granularity, sqrt(self.dimension)
        if self.rounding == "nearest":
            return 1 + g * root / 2
        if self.rounding == "stochastic":
            return 1 + g * root
        spread = sqrt(2 * log(1 / self.beta)) * g * (1 + g * root / 2)
        return min(1 + g * root, sqrt(1 + g**2 * self.dimension / 4 + spread))

    @property
    def tau(self) -> float:
        """Return how far a coordinate of the summed noise may be from a discrete Gaussian."""
        k = np.arange(1, self.honest)
        width = self.noise_multiplier / self.granularity
        return 10 * float(np.exp(-2 * (pi * width) ** 2 * k / (k + 1)).sum())

    @property
    def mu(self) -> float | None:
        """Return None: discrete noise is no Gaussian DP."""
        return None

    @property
    def mu_bound(self) -> float:
        """Return infinity: bounds on Renyi divergences imply no Gaussian DP."""
        return inf

    @property
    def unprotected(self) -> bool:
        """Return whether the noise is below half a grid step, where the theorem is silent."""
        return self.noise_multiplier < _LEAST_NOISE * self.granularity

    def renyi(self, orders: Floats) -> Floats:
        """Return the Renyi epsilons of all releases by the theorem."""
        if self.unprotected:
            return np.full_like(orders, inf)
        clients = 2.0 if self.adjacency == "replace" else 1.0
        two = clients * self.rounded_norm / self.granularity
        # Integer vectors have |k| <= k^2.
        one = min(sqrt(self.dimension) * two, two**2)
        deviation = sqrt(self.honest) * self.noise_multiplier / self.granularity
        one, two = one / deviation, two / deviation
        tau, d = self.tau, self.dimension
        together = min(two**2 + 2 * one * tau + tau**2 * d, (two + tau * sqrt(d)) ** 2)
        return self.releases * np.minimum(orders / 2 * two**2 + tau * d, orders / 2 * together)

    def loss(self, interval: float) -> Any:
        """Return a loss distribution that dominates all releases together."""
        return loss_of_renyi(self.renyi, interval)

    def divergence_bits(self) -> float:
        """Return the limit of the Renyi epsilons at order 1, in bits."""
        return float(self.renyi(np.ones(1))[0]) / log(2)

    def wrap_probability(self, modulus: int, clients: int) -> float:
        """Return a bound on the chance that a sum of `clients` leaves the range of `modulus`.

        Of any coordinate in one release; each client's noise is subgaussian with its own
        variance (Canonne, Kamath & Steinke 2020, arXiv 2004.00010, corollary 17).
        """
        room = modulus / 2 - clients * self.rounded_norm / self.granularity
        if room <= 0:
            return 1.0
        deviation = sqrt(clients) * self.noise_multiplier / self.granularity
        if deviation == 0:
            return 0.0
        # 1 - (1 - p)^d, as coordinates are noised independently.
        one = min(1.0, 2 * exp(-(room**2) / (2 * deviation**2)))
        return 1.0 if one == 1 else -expm1(self.dimension * float(np.log1p(-one)))
