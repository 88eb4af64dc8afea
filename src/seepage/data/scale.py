"""How raw values become what a model trains on, and the range that this is known to give."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import DataError
from ..core.names import nearest

SCALES = ("auto", "unit", "standard", "none")

Range = tuple[float, float]


def scaled(
    values: NDArray[Any], scale: str, *, table: bool = False, top: float | None = None
) -> tuple[NDArray[np.float32], Range | None]:
    """Return float32 values and their public range, or None where there is none.

    `top` is the largest value of a known scale from 0 (255 for bytes, the default for
    uint8). `auto` divides by it, standardizes a `table` and leaves other values alone;
    `unit` maps to [0, 1] by `top` or else by the smallest and largest value; `standard`
    gives mean 0 and standard deviation 1; `none` changes nothing. Statistics are those of
    each column of `[n, d]` values, and those of all values of other shapes. A constant
    column becomes 0. An unknown scale raises `DataError`.

    >>> values, limits = scaled(np.array([[0], [51]], dtype=np.uint8), "auto")
    >>> values.ravel().tolist(), limits
    ([0.0, 0.20000000298023224], (0.0, 1.0))
    """
    if scale not in SCALES:
        raise DataError(f"no scale is called {scale!r}{nearest(scale, SCALES)}")
    if top is None and values.dtype == np.uint8 and not table:
        top = 255.0
    if scale == "auto":
        scale = "unit" if top else "standard" if table else "none"
    axis = 0 if values.ndim == 2 else None
    if scale == "unit":
        if top:
            return _single(values) / np.float32(top), (0.0, 1.0)
        low = np.asarray(values.min(axis=axis), dtype=np.float64)
        return _shifted(values, low, values.max(axis=axis) - low), (0.0, 1.0)
    if scale == "standard":
        mean = np.asarray(values.mean(axis=axis, dtype=np.float64))
        deviation = np.asarray(values.std(axis=axis, dtype=np.float64))
        public = None
        if top and axis is None and deviation > 0:
            public = (float(-mean / deviation), float((top - mean) / deviation))
        return _shifted(values, mean, deviation), public
    return _single(values), (0.0, top) if top else _unit_range(values)


def _shifted(values: NDArray[Any], shift: NDArray[Any], width: NDArray[Any]) -> NDArray[np.float32]:
    return _single((values - shift) / np.where(width > 0, width, 1.0))


def _single(values: NDArray[Any]) -> NDArray[np.float32]:
    # A float64 beyond float32 becomes inf, which the dataset's own check reports by row.
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def _unit_range(values: NDArray[Any]) -> Range | None:
    return (0.0, 1.0) if values.min() >= 0 and values.max() <= 1 else None
