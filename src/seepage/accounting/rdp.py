"""Renyi differential privacy: the looser accountant, tighter where a PLD grid is too coarse."""

from __future__ import annotations

from functools import lru_cache
from math import isfinite

import numpy as np

from .dominating import ORDERS
from .mechanism import Mechanism


@lru_cache(maxsize=256)
def rdp_epsilon(mechanism: Mechanism, delta: float) -> float:
    """Return epsilon of all releases by the best of many Renyi orders; `inf` where none holds.

    Converted by Canonne, Kamath & Steinke 2020 (arXiv 2004.00010, proposition 12).
    """
    from dp_accounting.rdp import compute_epsilon

    curve = mechanism.renyi(ORDERS)
    usable = np.isfinite(curve)
    if not usable.any():
        return float("inf")
    epsilon = float(compute_epsilon(list(ORDERS[usable]), list(curve[usable]), delta)[0])
    return epsilon if isfinite(epsilon) else float("inf")
