"""Gaussian differential privacy: the algebra of mu.

A Gaussian mechanism of sensitivity s and noise standard deviation sigma is mu-GDP with
mu = s / sigma, and T releases compose to mu sqrt(T) exactly (Dong, Roth & Su 2019, "Gaussian
Differential Privacy", corollaries 2.13 and 3.3).
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, sqrt
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import erfcx, ndtr

from ..core.errors import UsageError
from ..core.intervals import Floats


def delta_of(epsilon: Floats | float, mu: float) -> Floats:
    """Return the least delta at which mu-GDP is (epsilon, delta)-DP, shaped as `epsilon`.

    delta = Phi(mu/2 - eps/mu) - e^eps Phi(-mu/2 - eps/mu), epsilon >= 0 (corollary 2.13).

    >>> round(float(delta_of(1.0, 1.0)), 6)
    0.126937
    """
    eps = np.asarray(epsilon, dtype=np.float64)
    if mu == 0:
        return np.zeros_like(eps)
    if mu == inf:
        return np.ones_like(eps)
    return _delta_at(mu / 2 - eps / mu, mu)


def epsilon_of(mu: float, delta: float) -> float:
    """Return the least epsilon at which mu-GDP is (epsilon, delta)-DP; 0 < delta < 1.

    >>> round(epsilon_of(8.66, 1e-5), 1)
    73.6
    """
    _need(mu >= 0, f"mu is {mu}; use 0 or more")
    _need(0 < delta < 1, f"delta is {delta}; use a number between 0 and 1")
    if mu == inf:
        return inf
    if mu == 0 or float(_delta_at(mu / 2, mu)) <= delta:
        return 0.0
    # In a = mu/2 - eps/mu the root stays within a few tens of 0 however large mu is.
    a = _root(lambda a: float(_delta_at(a, mu)) - delta, -40.0, mu / 2)
    return mu * (mu / 2 - a)


def sampled_epsilon_of(mu: float, sample_rate: float, delta: float) -> float:
    """Return the exact epsilon of one mu-GDP release into which a unit enters at `sample_rate`.

    epsilon = log(1 + q (e^eps' - 1)), where eps' is that of the release at delta / q (Balle,
    Barthe & Gaboardi 2018, theorem 8; tight for add-remove and zero-out adjacency).
    """
    if delta >= sample_rate:
        return 0.0
    within = epsilon_of(mu, delta / sample_rate)
    if sample_rate == 1 or within in (0.0, inf):
        return within
    return float(np.logaddexp(np.log1p(-sample_rate), np.log(sample_rate) + within))


def mu_of(epsilon: float, delta: float) -> float:
    """Return the largest mu whose mu-GDP is (epsilon, delta)-DP; the inverse of `epsilon_of`.

    >>> round(mu_of(1.5, 1e-5), 3)
    0.387
    """
    _need(epsilon >= 0, f"epsilon is {epsilon}; use 0 or more")
    _need(0 < delta < 1, f"delta is {delta}; use a number between 0 and 1")
    if epsilon == inf:
        return inf
    low, high = 0.0, 1.0
    while float(delta_of(epsilon, high)) < delta:
        low, high = high, 2 * high
    return _root(lambda mu: float(delta_of(epsilon, mu)) - delta, low, high)


def _delta_at(a: Floats | float, mu: float) -> Floats:
    """Return delta at eps = mu (mu/2 - a).

    e^eps Phi(-b) = exp(-a^2/2) erfcx(b / sqrt 2) / 2 with b = mu - a, so that no large
    exponents cancel.
    """
    a = np.asarray(a, dtype=np.float64)
    below = 0.5 * np.exp(-(a**2) / 2) * erfcx((mu - a) / sqrt(2))
    return np.maximum(ndtr(a) - below, 0.0)


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    root: Any = brentq(function, low, high, xtol=1e-14)
    return float(root)


def _need(holds: bool, otherwise: str) -> None:
    if not holds:
        raise UsageError(otherwise)
