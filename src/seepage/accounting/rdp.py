"""Renyi differential privacy: the looser accountant, tighter where a PLD grid is too coarse."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from functools import lru_cache
from math import inf, isfinite

from .sampled_gaussian import SampledGaussian

_ORDERS = [1 + k / 10 for k in range(1, 100)] + [*range(11, 64), 64, 128, 256, 512, 1024]


@lru_cache(maxsize=256)
def rdp_epsilon(mechanism: SampledGaussian, delta: float) -> float:
    """Return epsilon of all releases by RDP (Mironov, Talwar & Zhang 2019, arXiv 1908.10530).

    `inf` where there is no such bound: without noise, and under `replace`, for which no
    RDP bound of Poisson sampling is known to dp-accounting.
    """
    if mechanism.adjacency == "replace" or mechanism.noise_multiplier == 0:
        return inf
    import dp_accounting
    from dp_accounting.rdp.rdp_privacy_accountant import RdpAccountant

    accountant = RdpAccountant(_ORDERS)
    whole = dp_accounting.GaussianDpEvent(mechanism.noise_multiplier)
    sampled = dp_accounting.PoissonSampledDpEvent(mechanism.sample_rate, whole)
    with _without_order_warnings():
        accountant.compose(sampled, mechanism.releases - mechanism.known)
        if mechanism.known:
            accountant.compose(whole, mechanism.known)
    epsilon = float(accountant.get_epsilon(delta))
    return epsilon if isfinite(epsilon) else inf


@contextmanager
def _without_order_warnings() -> Generator[None]:
    """Drop dp-accounting's notice that a fractional order did not converge.

    It leaves that order out, which can only loosen the bound.
    """
    logger = logging.getLogger("absl")

    def keep(record: logging.LogRecord) -> bool:
        """Whether a message is about anything else."""
        return "failed to converge" not in record.getMessage()

    logger.addFilter(keep)
    try:
        yield
    finally:
        logger.removeFilter(keep)
