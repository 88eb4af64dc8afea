"""The Laplace mechanism under an L1 bound (Dwork, McSherry, Nissim & Smith 2006).

Each coordinate gets noise of density exp(-|x| / b) / 2b, so a shift of L1 norm D is
eps-DP with eps = D / b. A shift in one coordinate is the worst case: for a shift split as
D_1 + D_2, the loss falls short of eps by twice the sum of two truncated exponentials, which
stays above that of the whole shift as far as half of eps, and no delta(e), e >= 0, looks
further.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf, isfinite, log, log1p, sqrt
from typing import Any, ClassVar

import numpy as np

from ..core.errors import UsageError
from ..core.intervals import Floats
from .mechanism import Mechanism
from .pure import mu_of_pure
from .sampled_gaussian import require_adjacency


@dataclass(frozen=True, kw_only=True)
class Laplace(Mechanism):
    """Releases of a sum of vectors of bounded L1 norm plus Laplace noise.

    Fields
    ------
    noise_multiplier : Laplace scale b / L1 clipping norm, >= 0
    adjacency : `add-remove`, `zero-out` (both of sensitivity one clipping norm) or
        `replace` (two)
    """

    kind: ClassVar[str] = "laplace"

    noise_multiplier: float
    adjacency: str = "add-remove"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.noise_multiplier >= 0 and isfinite(self.noise_multiplier)):
            raise UsageError(
                f"noise_multiplier is {self.noise_multiplier}; use a finite number of 0 or more"
            )
        require_adjacency(self.adjacency)

    @property
    def epsilon(self) -> float:
        """Return the pure epsilon of one release; `inf` without noise."""
        if self.noise_multiplier == 0:
            return inf
        return (2.0 if self.adjacency == "replace" else 1.0) / self.noise_multiplier

    @property
    def pure_epsilon(self) -> float:
        """Return the sum over the releases; `inf` without noise."""
        return self.releases * self.epsilon

    @property
    def mu(self) -> float | None:
        """Return None: Laplace noise is no Gaussian DP."""
        return None

    @property
    def mu_bound(self) -> float:
        """Return the mu of pure DP of this epsilon, which holds for any mechanism."""
        return sqrt(self.releases) * mu_of_pure(self.epsilon)

    @property
    def unprotected(self) -> bool:
        """Return whether there is no noise."""
        return self.noise_multiplier == 0

    def exact_epsilon(self, delta: float) -> tuple[float, str] | None:
        """Return the exact epsilon of one release: delta = 1 - e^((epsilon - eps) / 2)."""
        if self.releases > 1 or self.unprotected:
            return None
        return max(0.0, self.epsilon + 2 * log1p(-delta)), "exact Laplace"

    def renyi(self, orders: Floats) -> Floats:
        """Return the Renyi epsilons (Mironov 2017, arXiv 1702.07476, proposition 6)."""
        if self.unprotected:
            return np.full_like(orders, inf)
        up = np.log(orders / (2 * orders - 1)) + (orders - 1) * self.epsilon
        down = np.log((orders - 1) / (2 * orders - 1)) - orders * self.epsilon
        return self.releases * np.maximum(np.logaddexp(up, down), 0.0) / (orders - 1)

    def loss(self, interval: float) -> Any:
        """Return the loss distribution of all releases; `noise_multiplier` is > 0."""
        from dp_accounting.pld.privacy_loss_distribution import from_laplace_mechanism

        one = from_laplace_mechanism(1 / self.epsilon, value_discretization_interval=interval)
        return one.self_compose(self.releases) if self.releases > 1 else one

    def divergence_bits(self) -> float:
        """Return the Kullback-Leibler divergence eps + e^-eps - 1 of all releases, in bits."""
        return self.releases * (self.epsilon + exp(-self.epsilon) - 1) / log(2)
