"""The datasets that scikit-learn carries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn import datasets

from .dataset import Dataset
from .scale import scaled


def digits(scale: str = "auto") -> Dataset:
    """Return 1,797 handwritten digits, `[n, 1, 8, 8]` of 17 gray levels, in 10 classes."""
    source: Any = datasets.load_digits()
    inputs, value_range = scaled(source.images[:, None], scale, top=16.0)
    return Dataset(
        name="digits",
        inputs=torch.from_numpy(inputs),
        targets=torch.from_numpy(source.target.astype(np.int64)),
        classes=10,
        value_range=value_range,
    )


def breast_cancer(scale: str = "auto") -> Dataset:
    """Return 569 tumors, `[n, 30]`; 0 is malignant, 1 benign."""
    source: Any = datasets.load_breast_cancer()
    return _table("breast-cancer", source.data, source.target, source.feature_names, scale)


def wine(scale: str = "auto") -> Dataset:
    """Return 178 wines, `[n, 13]`, of three cultivars."""
    source: Any = datasets.load_wine()
    return _table("wine", source.data, source.target, source.feature_names, scale)


def diabetes(scale: str = "auto") -> Dataset:
    """Return 442 patients, `[n, 10]`, with a measure of disease progression a year later.

    The target is scaled as a column: its raw values (25 to 346) make plain SGD diverge.
    """
    source: Any = datasets.load_diabetes(scaled=False)
    return _table("diabetes", source.data, source.target, source.feature_names, scale)


def _table(
    name: str, values: NDArray[Any], targets: NDArray[Any], columns: Sequence[Any], scale: str
) -> Dataset:
    inputs, value_range = scaled(values, scale, table=True)
    regression = targets.dtype.kind == "f"
    if regression:
        targets = scaled(targets[:, None], scale, table=True)[0][:, 0]
    return Dataset(
        name=name,
        inputs=torch.from_numpy(inputs),
        targets=torch.from_numpy(targets if regression else targets.astype(np.int64)),
        classes=0 if regression else int(targets.max()) + 1,
        value_range=value_range,
        feature_names=tuple(map(str, columns)),
    )
