"""Loss distributions from privacy profiles, for mechanisms of which no more is known.

Any convex curve h(e^t) above delta(t) for all real t belongs to a pair of distributions that
dominates the mechanism, also under composition (Zhu, Dong & Wang 2022, arXiv 2106.08567,
propositions 8 and theorem 10). Between the grid's points h is the chord (connect the dots,
Doroshenko et al. 2022, arXiv 2207.04380), which lies above delta since that is convex.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.intervals import Floats

ORDERS = np.array([1 + k / 10 for k in range(1, 100)] + [*range(11, 64), 64, 128, 256, 512, 1024])
# Very quiet mechanisms need larger orders, or their losses would seem to spread far.
_MORE_ORDERS = np.concatenate([ORDERS, np.geomspace(2048, 2e6, 31)])
_POINTS = 4000
_LOWEST_LOSS = -25.0
_HIGHEST_LOSS = 600.0
_NEGLIGIBLE = 1e-16


def loss_on_support(support: NDArray[np.int64], deltas: Floats, interval: float) -> Any:
    """Return the loss distribution whose profile connects `deltas` at `support * interval`.

    `support` is strictly ascending; `deltas` are in [0, 1] and fall. What is left at the last
    one stands at infinity.
    """
    from dp_accounting.pld.pld_pmf import create_pmf_pessimistic_connect_dots
    from dp_accounting.pld.privacy_loss_distribution import PrivacyLossDistribution

    with np.errstate(over="ignore"):  # support points further apart than exponentials reach
        pmf = create_pmf_pessimistic_connect_dots(interval, support, deltas)
    return PrivacyLossDistribution(pmf)


def loss_of_outcomes(outcomes: Floats, losses: Floats, interval: float) -> Any:
    """Return the loss distribution of finitely many outcomes, by the points beside each loss.

    `outcomes` `[n]` are probabilities under one neighbor and `losses` `[n]` their log ratios to
    those under the other; the pair is the same seen from either side.
    """
    grid = np.floor(losses / interval).astype(np.int64)
    support = np.unique(np.concatenate([grid, grid + 1]))
    gap = np.minimum(support[:, None] * interval - losses[None, :], 0.0)
    return loss_on_support(support, np.clip(-np.expm1(gap) @ outcomes, 0.0, 1.0), interval)


def loss_of_renyi(renyi: Callable[[Floats], Floats], interval: float) -> Any:
    """Return a loss distribution that dominates every pair with these Renyi epsilons.

    delta(t) <= e^((a-1)(renyi(a) - t)) (1 - 1/a)^(a-1) / a at each order a (Canonne, Kamath &
    Steinke 2020, arXiv 2004.00010, proposition 12), in both directions.
    """
    curve = renyi(_MORE_ORDERS)
    usable = np.isfinite(curve)
    orders, curve = _MORE_ORDERS[usable], curve[usable]
    factor = (orders - 1) * (curve + np.log1p(-1 / orders)) - np.log(orders)

    def log_delta(t: Floats) -> Floats:
        """Return the best bound on log delta at each t."""
        return (factor[:, None] - (orders - 1)[:, None] * t[None, :]).min(axis=0)

    # Beyond this loss even the order that decays last has nothing to say.
    end = float(((factor - log(_NEGLIGIBLE)) / (orders - 1)).min())
    last = ceil(min(max(end, interval), _HIGHEST_LOSS) / interval)
    first = -min(last, ceil(-_LOWEST_LOSS / interval))
    step = max(1, (last - first) // _POINTS)
    support = np.unique(np.append(np.arange(first, last, step), [0, last]))
    t = support * interval
    total_variation = np.sqrt(-np.expm1(-curve.min()))
    up = np.minimum(np.exp(np.minimum(log_delta(np.abs(t)), 0.0)), total_variation)
    deltas = np.where(t >= 0, up, 1 - np.exp(np.minimum(t, 0.0)) * (1 - up))
    kept = _lower_hull(np.exp(t), deltas)
    return loss_on_support(support[kept], np.minimum.accumulate(deltas[kept]), interval)


def _lower_hull(x: Floats, y: Floats) -> list[int]:
    """Return the indices of the lower convex hull of points with ascending x."""
    hull: list[int] = []
    for i in range(len(x)):
        while len(hull) > 1:
            a, b = hull[-2], hull[-1]
            if (y[b] - y[a]) * (x[i] - x[b]) < (y[i] - y[b]) * (x[b] - x[a]):
                break
            hull.pop()
        hull.append(i)
    return hull
