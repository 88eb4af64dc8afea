"""Gaussian noise of another scale in each coordinate, at its true sensitivity.

Dividing by the scales sigma makes the noise standard, so a release is mu-GDP with
mu = max ||D / sigma|| over all changes D that clipping lets through: exact, since the
Gaussian trade-off depends on that length alone. Over {|D_i| <= c_i, ||D / a|| <= C} it is a
fractional knapsack in D_i^2: fill the coordinates of the largest a_i / sigma_i first. Clipped
in the whitened space (a = sigma / s) it is C / s; clipped isotropically (a = 1) it is
C / min sigma, so the quietest coordinate counts, not the mean.
"""

from __future__ import annotations

from math import inf, sqrt

import numpy as np
from numpy.typing import ArrayLike

from ..core.errors import UsageError
from ..core.intervals import Floats
from .sampled_gaussian import SampledGaussian


def whitened_sensitivity(
    sigmas: ArrayLike,
    *,
    max_norm: float = inf,
    scales: ArrayLike = 1.0,
    caps: ArrayLike = inf,
) -> float:
    """Return the exact max of ||D / sigmas|| over |D_i| <= caps_i and ||D / scales|| <= max_norm.

    `sigmas` `[d]` are the noise's standard deviations (0: no noise), `scales` > 0 and `caps`
    >= 0 are `[d]` or one number. `inf` where a coordinate that may change is not noised, or
    nothing bounds it. Raises `UsageError` for values that are no scales or bounds.

    >>> whitened_sensitivity([2.0, 0.5], max_norm=1.0)
    2.0
    """
    sigma = np.atleast_1d(np.asarray(sigmas, dtype=np.float64))
    scale = np.broadcast_to(np.asarray(scales, dtype=np.float64), sigma.shape)
    cap = np.broadcast_to(np.asarray(caps, dtype=np.float64), sigma.shape)
    _require(sigma, "noise", least_is_fine=True)
    _require(scale, "clipping scale", least_is_fine=False)
    if not (max_norm >= 0 and bool((cap >= 0).all())):
        raise UsageError("a bound on the contributions is negative or NaN; use 0 or more")
    if max_norm == inf and not bool(np.isfinite(cap).all()):
        return inf
    # What each coordinate may take of the budget C^2, and what it gives for all of it.
    wants = np.minimum((cap / scale) ** 2, max_norm**2)
    open_ = (sigma == 0) & (wants > 0)
    if bool(open_.any()):
        return inf
    worth = np.divide(scale, sigma, out=np.zeros_like(sigma), where=sigma > 0) ** 2
    order = np.argsort(-worth, kind="stable")
    left = np.maximum(max_norm**2 - np.concatenate([[0.0], np.cumsum(wants[order])[:-1]]), 0.0)
    return sqrt(float(np.minimum(wants[order], left) @ worth[order]))


def per_coordinate_gaussian(
    sigmas: ArrayLike,
    *,
    max_norm: float = inf,
    scales: ArrayLike = 1.0,
    caps: ArrayLike = inf,
    sample_rate: float = 1.0,
    releases: int = 1,
    adjacency: str = "add-remove",
) -> SampledGaussian:
    """Return the Gaussian mechanism that noise of `sigmas` is, for such clipping.

    See `whitened_sensitivity`. Its multiplier is the noise that a contribution of length one
    in the whitened space meets; `replace` counts two contributions, as everywhere.
    """
    length = whitened_sensitivity(sigmas, max_norm=max_norm, scales=scales, caps=caps)
    if length == 0:
        raise UsageError("no coordinate may change, so there is nothing to protect")
    return SampledGaussian(
        noise_multiplier=1 / length,
        sample_rate=sample_rate,
        releases=releases,
        adjacency=adjacency,
    )


def _require(values: Floats, what: str, *, least_is_fine: bool) -> None:
    low = values >= 0 if least_is_fine else values > 0
    if not bool((low & np.isfinite(values)).all()):
        least = "of 0 or more" if least_is_fine else "above 0"
        raise UsageError(f"a {what} of a coordinate is not a finite number {least}")
