"""Reads NumPy archives (.npz), never unpickling."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import DataError
from ..core.names import nearest
from ..core.plan import DataPlan
from .arrays import assemble, numeric
from .dataset import Dataset

USUAL_KEYS = (
    ("inputs", "targets"),
    ("x_train", "y_train"),
    ("train_images", "train_labels"),
    ("x", "y"),
)


def read(path: Path, plan: DataPlan) -> Dataset:
    """Return the arrays under `plan.inputs` and `plan.targets`, or the first usual pair of keys.

    Images `[n, h, w]` get a channel axis and `[n, h, w, c]` become channels first;
    `plan.column` is the key of the groups, `[n]`. Raises `DataError` where a key is
    missing, an array is pickled, or the values can't be trained on.
    """
    name = path.name
    try:
        archive: Any = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise DataError(f"{name}: a single array, no archive; save it by numpy.savez")
        with archive:
            inputs_key, targets_key = _keys(archive, plan, name)
            inputs, targets = archive[inputs_key], archive[targets_key]
            groups = None
            if plan.column:
                groups = _groups(archive[_known(archive, plan.column, name)], plan.column, name)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        if "pickle" in str(error):
            raise DataError(
                f"{name}: holds pickled objects, which could run code and are never loaded; "
                "save plain arrays of numbers"
            ) from error
        raise DataError(f"{name}: can't be read as .npz: {error}") from error
    images = channels_first(numeric(inputs, f"{name}: {inputs_key}"))
    return assemble(images, targets, name=name, scale=plan.scale, groups=groups)


def channels_first(values: NDArray[Any]) -> NDArray[Any]:
    """Return images as `[n, c, h, w]`; arrays of two or more than four axes as they are.

    >>> channels_first(np.zeros((5, 28, 28))).shape, channels_first(np.zeros((5, 28, 28, 3))).shape
    ((5, 1, 28, 28), (5, 3, 28, 28))
    """
    if values.ndim == 3:
        return values[:, None]
    channels = (1, 3, 4)
    if values.ndim == 4 and values.shape[3] in channels and values.shape[1] not in channels:
        return np.ascontiguousarray(np.moveaxis(values, 3, 1))
    return values


def _keys(archive: Mapping[str, Any], plan: DataPlan, name: str) -> tuple[str, str]:
    if plan.inputs and plan.targets:
        return _known(archive, plan.inputs, name), _known(archive, plan.targets, name)
    for inputs, targets in USUAL_KEYS:
        if plan.inputs not in ("", inputs) or plan.targets not in ("", targets):
            continue
        if inputs in archive and targets in archive:
            return inputs, targets
    raise DataError(
        f"{name}: can't tell inputs from targets among its keys {', '.join(sorted(archive))}; "
        "set data.inputs and data.targets to two of them"
    )


def _known(archive: Mapping[str, Any], key: str, name: str) -> str:
    if key not in archive:
        raise DataError(
            f"{name}: has no key {key!r}{nearest(key, archive)}; its keys are "
            f"{', '.join(sorted(archive))}"
        )
    return key


def _groups(values: NDArray[Any], key: str, name: str) -> tuple[str, ...]:
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise DataError(f"{name}: {key} is {values.shape}; give one group a row, [n]")
    return tuple(map(str, values.tolist()))
