"""Columns of text cells become numbers, categories, labels or groups."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import DataError

MOST_NUMERIC_LABELS = 20
"""A whole-numbered target with more distinct values than this is a value to regress."""

MOST_CATEGORIES = 200
"""A text column with more distinct values than this is free text or an id."""

_MISSING = frozenset({"", "?", "na", "n/a", "nan", "null", "none"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One column of a table: its name, the table's name, stripped cells and their lines.

    `lines` is empty where the file has none.
    """

    table: str
    name: str
    cells: list[str]
    lines: list[int] = field(default_factory=list[int])

    def error(self, row: int, message: str) -> DataError:
        """Return an error at a 0-based row; people read rows from 1, below the header."""
        line = f" (line {self.lines[row]})" if self.lines else ""
        where = f"row {row + 1}{line}, column {self.name!r}"
        return DataError(f"{self.table}: {where} {message}")

    def fail(self, message: str) -> DataError:
        """Return an error about the whole column."""
        return DataError(f"{self.table}: column {self.name!r} {message}")


def number(cell: str) -> float | None:
    """Return the finite number in a cell, or None.

    >>> number("1e3"), number("nan"), number("a")
    (1000.0, None, None)
    """
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in cell else None


def numbers(column: Column) -> NDArray[np.float64] | None:
    """Return the column as numbers, or None where it holds text.

    It is numeric where most cells are finite numbers, or where none of the others is
    text; then a cell that is missing or not finite raises `DataError`.
    """
    found = [number(cell) for cell in column.cells]
    bad = [row for row, value in enumerate(found) if value is None]
    if bad:
        text = any(not _is_missing(column.cells[row]) for row in bad)
        if text and 2 * len(bad) >= len(found):
            return None
        cell = column.cells[bad[0]] or "empty"
        raise column.error(bad[0], f"is not a number ({cell}); fill it, or drop the row")
    return np.array(found, dtype=np.float64)


def one_hot(column: Column) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Return `[n, k]` of 0 and 1 and the k categories, the sorted distinct values.

    An empty cell is a category of its own, `(missing)`.
    """
    cells = [cell or "(missing)" for cell in column.cells]
    values, codes = _coded(cells)
    if len(values) > MOST_CATEGORIES:
        raise column.fail(
            f"holds {len(values)} different texts, more than the {MOST_CATEGORIES} that are "
            "one-hot encoded; drop it, or turn it into numbers"
        )
    encoded = np.zeros((len(cells), len(values)), dtype=np.float32)
    encoded[np.arange(len(cells)), codes] = 1
    return encoded, tuple(values)


def targets(column: Column) -> tuple[NDArray[Any], int]:
    """Return labels and their number, or float64 values and 0.

    Texts, and whole numbers of at most `MOST_NUMERIC_LABELS` distinct values, are labels,
    numbered 0..k-1 in sorted order whatever they were; other numbers are regressed.
    """
    values = numbers(column)
    if values is not None:
        distinct, codes = np.unique(values, return_inverse=True)
        if len(distinct) <= MOST_NUMERIC_LABELS and (distinct == np.floor(distinct)).all():
            return codes.reshape(-1).astype(np.int64), len(distinct)
        return values, 0
    known = present(column)
    labels, codes = _coded(list(known))
    if len(labels) > max(MOST_NUMERIC_LABELS, len(known) // 2):
        raise column.fail(
            f"holds {len(labels)} different texts in {len(known)} rows, which are no labels; "
            "set data.targets to the label column"
        )
    return codes, len(labels)


def present(column: Column) -> tuple[str, ...]:
    """Return the cells; an empty one raises `DataError`."""
    if "" in column.cells:
        raise column.error(column.cells.index(""), "is empty; fill it, or drop the row")
    return tuple(column.cells)


def _is_missing(cell: str) -> bool:
    if cell.lower() in _MISSING:
        return True
    try:
        return not math.isfinite(float(cell))
    except ValueError:
        return False


def _coded(cells: list[str]) -> tuple[list[str], NDArray[np.int64]]:
    values = sorted(set(cells))
    code = {value: i for i, value in enumerate(values)}
    return values, np.array([code[cell] for cell in cells], dtype=np.int64)
