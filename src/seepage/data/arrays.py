"""Arrays and tensors of any common type become a Dataset."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..core.errors import DataError
from .dataset import Dataset, check_finite
from .scale import scaled

_FEW_LABELS = 1000


def assemble(
    inputs: Any,
    targets: Any,
    *,
    name: str,
    scale: str = "auto",
    classes: int | None = None,
    groups: tuple[str, ...] | None = None,
) -> Dataset:
    """Return a dataset of copies of `inputs` `[n, *shape]` and `targets` `[n]` or `[n, 1]`.

    Integer targets are labels 0..max unless `classes` says otherwise; floats are values to
    regress unless `classes` is above 0. Raises `DataError`, as making a Dataset does.
    """
    values = numeric(inputs, f"{name}: inputs")
    if not values.size or values.ndim < 2:
        raise DataError(
            f"{name}: inputs are {values.shape}; give at least one row, "
            "as [n, features] or [n, channels, height, width]"
        )
    # Before scaling, which would spread a NaN over its column; inf is no whole number either.
    check_finite(values, name=name, part="inputs")
    raw_targets = numeric(targets, f"{name}: targets")
    check_finite(raw_targets, name=name, part="targets")
    labels, count = _targets(raw_targets, classes, name)
    values, value_range = scaled(values, scale)
    return Dataset(
        name=name,
        inputs=torch.from_numpy(values),
        targets=torch.from_numpy(labels),
        classes=count,
        value_range=value_range,
        groups=groups,
    )


def numeric(values: Any, what: str) -> NDArray[Any]:
    """Return an array of booleans, integers or floats; else raise `DataError` naming `what`."""
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        if values.dtype == torch.bfloat16:
            values = values.float()
    try:
        array = np.asarray(values)
    except (ValueError, TypeError) as error:
        raise DataError(f"{what} are no array: {error}; give a tensor or numpy array") from error
    if array.dtype.kind not in "biuf":
        raise DataError(f"{what} are of type {array.dtype}; give numbers")
    return array


def _targets(values: NDArray[Any], classes: int | None, name: str) -> tuple[NDArray[Any], int]:
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise DataError(
            f"{name}: targets are {values.shape}; give one a row, [n] "
            "(of one-hot labels, the argmax)"
        )
    whole = values.dtype.kind in "biu"
    if classes is None:
        classes = int(values.max()) + 1 if whole and values.size else 0
        # Labels that are all negative must still fail as labels, not pass as regression.
        if whole and values.size and values.min() < 0:
            classes = max(classes, 2)
        if classes > max(_FEW_LABELS, len(values)):
            raise DataError(
                f"{name}: integer targets reach {classes - 1} in {len(values)} rows; "
                "number the labels from 0, or give floats for regression"
            )
    if not classes:
        return values.astype(np.float32), 0
    broken = np.zeros(0) if whole else np.flatnonzero(values != np.floor(values))
    if len(broken):
        row = int(broken[0])
        raise DataError(f"{name}: row {row} has the label {values[row]}; labels are whole numbers")
    return values.astype(np.int64), classes
