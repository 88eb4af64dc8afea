"""Privacy filters: when to stop releases whose noise is chosen after seeing earlier ones.

Composition theorems for mechanisms fixed in advance do not cover an analyst who looks at what
was released and then picks the next noise level, or stops. A filter does: it fixes a budget B
before the first release, and lets release i pass while sum_{j <= i} cost_j <= B.

- Gaussian DP: cost mu_i^2, B = mu(target)^2 (Smith & Thakurta 2022, arXiv 2210.17520;
  Koskela, Tobaben & Honkela 2022, arXiv 2209.15596).
- Renyi DP at one order a: cost = the Renyi epsilon of release i at a, B = what a turns into the
  target (Feldman & Zrnic 2021, arXiv 2008.11193), converted by epsilon = B + log((a-1)/a)
  - (log delta + log a) / (a-1) (Canonne, Kamath & Steinke 2020, arXiv 2004.00010,
  proposition 12).

The rule must be fixed in advance as well. "Stop when every order is past its budget", or
reading off the best order afterwards, lets what was released choose the order: the bound at
an order covers only the runs that stay within that order's own budget, and a union over k
orders costs k delta, not delta. Nor is it a filter to compose trade-off functions (or privacy
loss distributions) and to stop at the target: arXiv 2602.06756 (2026) shows that to be invalid.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import ceil, inf, isnan
from typing import TYPE_CHECKING

import numpy as np

from .gaussian import epsilon_of, mu_of

if TYPE_CHECKING:
    from ..core.intervals import Floats
    from .mechanism import Mechanism

WHOLE = 2**60
"""A whole budget in shares: integers, so that sums are exact in any order."""

LIMIT = WHOLE + 2**30
"""What counts as the budget: one part in 10^9 more, for the rounding of floats."""

_BEYOND = 4 * WHOLE
_ORDERS = np.concatenate(
    [1 + np.geomspace(0.05, 8, 40), np.unique(np.geomspace(10, 1024, 40).round())]
)


@dataclass(frozen=True, kw_only=True)
class PrivacyFilter:
    """A rule under which releases together stay (target_epsilon, target_delta)-DP.

    Fields
    ------
    order : the Renyi order, above 1; None for Gaussian DP
    target_epsilon, target_delta : what may be spent
    """

    order: float | None
    target_epsilon: float
    target_delta: float

    @property
    def budget(self) -> float:
        """Return the largest sum of costs within the target; 0 or less where there is none."""
        if self.order is None:
            return mu_of(self.target_epsilon, self.target_delta) ** 2
        return self.target_epsilon - float(_surcharge(np.array([self.order]), self.target_delta)[0])

    def cost(self, mechanism: Mechanism) -> float:
        """Return what all releases of `mechanism` cost under this rule; may be `inf`."""
        return _cost(mechanism, self.order)

    def share(self, cost: float) -> int:
        """Return a cost as a share of the budget, rounded up, of which `WHOLE` is all."""
        if not cost < self.budget * 2:
            return _BEYOND
        return ceil(Fraction(cost) * WHOLE / Fraction(self.budget))

    def epsilon(self, cost: float) -> float:
        """Return epsilon at the target's delta once costs add up to `cost`; 0 for none."""
        if cost in (0.0, inf):
            return cost
        if self.order is None:
            return epsilon_of(cost**0.5, self.target_delta)
        surcharge = float(_surcharge(np.array([self.order]), self.target_delta)[0])
        return max(cost + surcharge, 0.0)

    def epsilon_of_shares(self, shares: int) -> float:
        """Return epsilon once `shares` of the budget are spent, at most `LIMIT`."""
        if shares >= WHOLE:
            return self.target_epsilon
        return self.epsilon(float(Fraction(shares, WHOLE) * Fraction(self.budget)))


@lru_cache(maxsize=256)
def filter_for(first: Mechanism, target_epsilon: float, target_delta: float) -> PrivacyFilter:
    """Return the rule for a client whose first charge is `first`.

    Exact Gaussian DP takes the Gaussian filter. Anything else takes the filter, Gaussian or
    Renyi of some order, of whose budget `first` takes the smallest share. Nothing of the
    client's was released before its first charge, so this choice can't depend on its data.
    """

    def of_order(order: float | None) -> PrivacyFilter:
        """Return the rule at a Renyi order, or the Gaussian one."""
        return PrivacyFilter(order=order, target_epsilon=target_epsilon, target_delta=target_delta)

    gaussian = of_order(None)
    if first.mu is not None:
        return gaussian
    budgets = target_epsilon - _surcharge(_ORDERS, target_delta)
    usable = budgets > 0
    shares = np.full_like(_ORDERS, inf)
    shares[usable] = _renyi(first, _ORDERS)[usable] / budgets[usable]
    best = int(np.argmin(shares))
    if not shares[best] < gaussian.cost(first) / gaussian.budget:
        return gaussian
    return of_order(float(_ORDERS[best]))


@lru_cache(maxsize=4096)
def _cost(mechanism: Mechanism, order: float | None) -> float:
    if order is None:
        cost = float(mechanism.mu_bound) ** 2
    else:
        cost = float(_renyi(mechanism, np.array([order]))[0])
    # No divergence is negative: rounding may say so.
    return inf if isnan(cost) else max(cost, 0.0)


def _renyi(mechanism: Mechanism, orders: Floats) -> Floats:
    """Return the least of three bounds on the Renyi epsilon at each order.

    Accountants know few fractional orders of a sampled mechanism. Renyi divergence grows with
    its order, so the next whole one bounds it; and so does that of the Gaussian which
    simulates a mu-GDP mechanism, order mu^2 / 2.
    """
    at = np.union1d(orders, np.ceil(orders))
    curve = mechanism.renyi(at)
    there = curve[np.searchsorted(at, orders)]
    above = curve[np.searchsorted(at, np.ceil(orders))]
    return np.fmin(np.fmin(there, above), orders * mechanism.mu_bound**2 / 2)


def _surcharge(orders: Floats, delta: float) -> Floats:
    """Return what is added to the Renyi epsilon at each order to make it epsilon at `delta`."""
    return np.log1p(-1 / orders) - (np.log(delta) + np.log(orders)) / (orders - 1)
