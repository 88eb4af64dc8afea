"""A table's columns become a dataset, whatever file they were read from."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..core.columns import TableColumn
from ..core.errors import DataError
from ..core.names import nearest
from ..core.plan import DataPlan
from .columns import Column, numbers, one_hot, present, targets
from .dataset import Dataset
from .scale import Range, scaled


def from_table(table: dict[str, Column], plan: DataPlan, name: str) -> Dataset:
    """Return a table with `plan.targets` (default: the last column) as its target.

    Columns of numbers are scaled, columns of text become one 0/1 column a value, and
    `plan.column` becomes the groups. A target to regress is scaled as a column. Raises
    `DataError` that names the row and column at fault.
    """
    names, left = list(table), dict(table)
    groups = left.pop(_known(names, plan.column, name)) if plan.column else None
    if plan.targets and plan.targets == plan.column:
        raise DataError(f"{name}: column {plan.column!r} can't be both target and client")
    if len(left) < 2:
        raise DataError(f"{name}: needs a feature column and a target column")
    target = left.pop(_known(names, plan.targets or list(left)[-1], name))
    inputs, columns, value_range = _features(list(left.values()), plan.scale)
    labels, classes = targets(target)
    if not classes:
        labels = scaled(labels[:, None], plan.scale, table=True)[0][:, 0]
    return Dataset(
        name=name,
        inputs=torch.from_numpy(inputs),
        targets=torch.from_numpy(labels),
        classes=classes,
        value_range=value_range,
        groups=None if groups is None else present(groups),
        feature_names=tuple(f for column in columns for f in column.feature_names),
        columns=columns,
    )


def _features(
    columns: list[Column], scale: str
) -> tuple[NDArray[np.float32], tuple[TableColumn, ...], Range | None]:
    parts: list[NDArray[np.float32]] = []
    facts: list[TableColumn] = []
    bounded, first = True, 0
    for column in columns:
        values = numbers(column)
        if values is None:
            part, categories = one_hot(column)
        else:
            part, limits = scaled(values[:, None], scale, table=True)
            categories, bounded = (), bounded and limits is not None
        width = part.shape[1]
        facts.append(TableColumn(name=column.name, first=first, width=width, categories=categories))
        parts.append(part)
        first += width
    return np.concatenate(parts, axis=1), tuple(facts), (0.0, 1.0) if bounded else None


def _known(names: list[Any], name: str, file: str) -> str:
    if name not in names:
        raise DataError(f"{file}: has no column {name!r}{nearest(name, names)}")
    return name
