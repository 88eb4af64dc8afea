"""Reads tables of comma-separated values (.csv, .csv.gz) with a header row."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..core.errors import DataError
from ..core.names import nearest
from ..core.plan import DataPlan
from .columns import Column, number, numbers, one_hot, present, targets
from .dataset import Dataset
from .scale import Range, scaled


def read(path: Path, plan: DataPlan) -> Dataset:
    """Return a table with `plan.targets` (default: the last column) as its target.

    Columns of numbers are scaled, columns of text become one 0/1 column a value, and
    `plan.column` becomes the groups. A target to regress is scaled as a column. Raises
    `DataError` that names the row (from 1, below the header) and column at fault.
    """
    table = _read(path)
    names = list(table)
    groups = table.pop(_known(names, plan.column, path)) if plan.column else None
    if plan.targets and plan.targets == plan.column:
        raise DataError(f"{path.name}: column {plan.column!r} can't be both target and client")
    if len(table) < 2:
        raise DataError(f"{path.name}: needs a feature column and a target column")
    target = table.pop(_known(names, plan.targets or list(table)[-1], path))
    inputs, features, value_range = _features(list(table.values()), plan.scale)
    labels, classes = targets(target)
    if not classes:
        labels = scaled(labels[:, None], plan.scale, table=True)[0][:, 0]
    return Dataset(
        name=path.name,
        inputs=torch.from_numpy(inputs),
        targets=torch.from_numpy(labels),
        classes=classes,
        value_range=value_range,
        groups=None if groups is None else present(groups),
        feature_names=features,
    )


def _features(
    columns: list[Column], scale: str
) -> tuple[NDArray[np.float32], tuple[str, ...], Range | None]:
    parts: list[NDArray[np.float32]] = []
    names: list[str] = []
    bounded = True
    for column in columns:
        values = numbers(column)
        if values is None:
            part, labels = one_hot(column)
        else:
            part, limits = scaled(values[:, None], scale, table=True)
            labels, bounded = (column.name,), bounded and limits is not None
        parts.append(part)
        names += labels
    return np.concatenate(parts, axis=1), tuple(names), (0.0, 1.0) if bounded else None


def _read(path: Path) -> dict[str, Column]:
    text = _text(path)
    reader = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True)
    rows: list[list[str]] = []
    lines: list[int] = []
    try:
        header = [cell.strip() for cell in next(reader, [])]
        _check_header(header, path.name)
        for row in reader:
            if not "".join(row).strip() and len(row) < 2:
                continue
            if len(row) != len(header):
                raise DataError(
                    f"{path.name}: row {len(rows) + 1} (line {reader.line_num}) has {len(row)} "
                    f"cells where the header has {len(header)}"
                )
            rows.append([cell.strip() for cell in row])
            lines.append(reader.line_num)
    except csv.Error as error:
        raise DataError(f"{path.name}: line {reader.line_num}: {error}") from error
    if not rows:
        raise DataError(f"{path.name}: has no rows below its header")
    cells = zip(*rows, strict=True)
    return {
        name: Column(table=path.name, name=name, cells=list(column), lines=lines)
        for name, column in zip(header, cells, strict=True)
    }


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
        return content.decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"{path.name}: can't be read as UTF-8 text: {error}") from error


def _check_header(header: list[str], name: str) -> None:
    if not header:
        raise DataError(f"{name}: is empty; the first line must name the columns")
    if len(header) == 1 and (mark := next((m for m in ";\t|" if m in header[0]), "")):
        raise DataError(f"{name}: is separated by {mark!r}; save it with commas")
    if all(number(cell) is not None for cell in header):
        raise DataError(f"{name}: the first line holds numbers; it must name the columns")
    for i, cell in enumerate(header):
        if not cell:
            raise DataError(f"{name}: column {i + 1} has no name in the first line")
        if header.index(cell) != i:
            raise DataError(f"{name}: two columns are called {cell!r}")


def _known(names: list[Any], name: str, path: Path) -> str:
    if name not in names:
        raise DataError(f"{path.name}: has no column {name!r}{nearest(name, names)}")
    return name
