"""Columns with public limits and one label column become a dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from ...core.errors import DataError
from ..columns import Column
from ..dataset import Dataset
from .ranges import Field, Floats, encoded


def labeled(
    name: str,
    cells: Mapping[str, Column],
    fields: Sequence[Field],
    label: tuple[str, tuple[str, ...]],
    scale: str,
) -> Dataset:
    """Return the dataset of `fields`, labeled by a column and the list of its values.

    A column that is not there, or a label that is not listed, raises `DataError`.
    """
    column, values = label
    for wanted in (*(field.name for field in fields), column):
        if wanted not in cells:
            raise DataError(f"{name}: its file has no column {wanted!r}; fetch it again")
    for row, cell in enumerate(cells[column].cells):
        if cell not in values:
            raise cells[column].error(row, f"is {cell!r}, none of {', '.join(values)}")
    targets = np.array([values.index(cell) for cell in cells[column].cells], dtype=np.int64)
    return of_two(name, cells, fields, targets, scale)


def of_two(
    name: str,
    cells: Mapping[str, Column] | Mapping[str, Floats],
    fields: Sequence[Field],
    labels: NDArray[np.int64],
    scale: str,
    groups: tuple[str, ...] | None = None,
) -> Dataset:
    """Return the dataset of `fields` in two classes, with `labels` `[n]` of 0 and 1."""
    inputs, columns, value_range = encoded(cells, fields, scale)
    return Dataset(
        name=name,
        inputs=torch.from_numpy(inputs),
        targets=torch.from_numpy(labels),
        classes=2,
        value_range=value_range,
        groups=groups,
        feature_names=tuple(f for column in columns for f in column.feature_names),
        columns=columns,
    )
