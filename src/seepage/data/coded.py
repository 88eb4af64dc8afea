"""Columns as codes: which of a few known values each record has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ..core.errors import DataError
from .columns import MOST_NUMERIC_LABELS

if TYPE_CHECKING:
    from torch import Tensor

    from ..core.columns import TableColumn


def column_codes(column: TableColumn, inputs: Tensor) -> Tensor:
    """Return the features of each value of a column, `[k, width]`.

    Categories are those of the column, in its order; of numbers, those that occur in
    `inputs` `[n, d]`, in ascending order. More than 20 of them are no categories, and raise
    `DataError`.

    >>> from seepage.core.columns import TableColumn
    >>> grade = TableColumn(name="grade", first=1, width=1)
    >>> column_codes(grade, torch.tensor([[7.0, 2.0], [8.0, 1.0], [9.0, 2.0]]))
    tensor([[1.],
            [2.]])
    """
    if column.categories:
        return torch.eye(column.width)
    found = inputs[:, column.features].unique(dim=0)
    if len(found) > MOST_NUMERIC_LABELS:
        raise DataError(
            f"column {column.name!r} holds {len(found)} different numbers: what is guessed is one "
            f"of at most {MOST_NUMERIC_LABELS} values; name a column of categories"
        )
    return found


def coded(column: TableColumn, codes: Tensor, inputs: Tensor) -> Tensor:
    """Return which of `codes` `[k, width]` each record of `inputs` `[n, d]` has; -1 for none."""
    same = (inputs[:, None, column.features] == codes).all(-1)
    return torch.where(same.any(1), same.long().argmax(1), -1)
