"""Pure epsilon-DP: all that is known of a release is that no likelihood moves beyond e^eps.

The worst such release tells which of two outcomes it is with odds e^eps : 1 (Kairouz, Oh &
Viswanath 2015, arXiv 1311.0776, theorem 3.4), so every figure here is that of a coin that
lies with probability 1 / (1 + e^eps).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf, isfinite, log, sqrt
from typing import Any, ClassVar

import numpy as np
from scipy.special import ndtri_exp

from ..core.errors import UsageError
from ..core.intervals import Floats
from .dominating import loss_of_outcomes
from .mechanism import Mechanism


@dataclass(frozen=True, kw_only=True)
class PureEpsilon(Mechanism):
    """Releases of which each is epsilon-DP, whatever it does.

    Fields
    ------
    epsilon : of one release, >= 0 and finite
    """

    kind: ClassVar[str] = "pure"

    epsilon: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.epsilon >= 0 and isfinite(self.epsilon)):
            raise UsageError(f"epsilon is {self.epsilon}; use a finite number of 0 or more")

    @property
    def mu(self) -> float | None:
        """Return 0 where nothing is told, else None."""
        return 0.0 if self.epsilon == 0 else None

    @property
    def mu_bound(self) -> float:
        """Return the root of the sum of squares of the releases' `mu_of_pure`."""
        return sqrt(self.releases) * mu_of_pure(self.epsilon)

    @property
    def pure_epsilon(self) -> float:
        """Return the sum over the releases."""
        return self.releases * self.epsilon

    def exact_epsilon(self, delta: float) -> tuple[float, str] | None:
        """Return the exact epsilon of one release: where p - e^eps q is `delta`."""
        if self.releases > 1:
            return None
        truth, lie, _ = self.log_outcomes()
        if exp(truth) <= delta:
            return 0.0, self._source
        excess = truth + float(np.log1p(-delta * exp(-truth))) - lie
        return max(0.0, min(self.epsilon, excess)), self._source

    def renyi(self, orders: Floats) -> Floats:
        """Return the Renyi epsilons of the outcomes."""
        truth, lie, rest = self.log_outcomes()
        up = orders * truth + (1 - orders) * lie
        down = orders * lie + (1 - orders) * truth
        moment = np.logaddexp(np.logaddexp(up, down), rest)
        return self.releases * np.maximum(moment, 0.0) / (orders - 1)

    def loss(self, interval: float) -> Any:
        """Return the loss distribution of all releases."""
        outcomes = np.exp(self.log_outcomes())
        losses = np.array([self.epsilon, -self.epsilon, 0.0])
        one = loss_of_outcomes(outcomes, losses, interval)
        return one.self_compose(self.releases) if self.releases > 1 else one

    def divergence_bits(self) -> float:
        """Return the Kullback-Leibler divergence (p - q) epsilon of all releases, in bits."""
        truth, lie, _ = self.log_outcomes()
        return self.releases * (exp(truth) - exp(lie)) * self.epsilon / log(2)

    def log_outcomes(self) -> tuple[float, float, float]:
        """Return the log probabilities of the truth, of one given lie, and of what is neither."""
        lie = -float(np.logaddexp(0.0, self.epsilon))
        return self.epsilon + lie, lie, -inf

    @property
    def _source(self) -> str:
        return "exact pure DP (Kairouz et al. 2015)"


def mu_of_pure(epsilon: float) -> float:
    """Return the least mu for which every epsilon-DP release is mu-GDP.

    Pure DP's trade-off is two lines that meet at (a, a), a = 1 / (1 + e^eps). That of mu-GDP
    is convex, so where both pass through that corner it lies below: mu = -2 Phi^-1(a).

    >>> round(mu_of_pure(1.0), 3)
    1.232
    """
    return max(0.0, -2 * float(ndtri_exp(-np.logaddexp(0.0, epsilon))))
