"""Encodes table columns by what is public of them: limits and lists, never the data's own.

A mean, a quantile or a list of the values that occur is a statistic of private records,
and a model that is shared with its preprocessing shares it. So each number has limits that
people could write down without the data (physiology, a form's fields, a currency), and each
category the list of its code book.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.columns import TableColumn
from ...core.errors import DataError
from ...core.names import nearest
from ..columns import Column, number
from ..scale import SCALES, Range, scaled

Floats = NDArray[np.float64]

_MISSING = ("", "?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranged:
    """A number with public limits, in its own unit.

    Values beyond the limits are clipped to them. `log` maps by sign(x) log(1 + |x|) first,
    for amounts. `missing` adds a feature that is 1 where there is no value.
    """

    name: str
    low: float
    high: float
    log: bool = False
    missing: bool = False
    sensitive: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """A category with the public list of its codes.

    `names` says what each code means (empty: itself). A cell that is not listed counts as
    the last code.
    """

    name: str
    codes: tuple[str, ...]
    names: tuple[str, ...] = ()
    sensitive: bool = False


Field = Ranged | Listed


def encoded(
    cells: Mapping[str, Column] | Mapping[str, Floats], fields: Sequence[Field], scale: str
) -> tuple[NDArray[np.float32], tuple[TableColumn, ...], Range | None]:
    """Return features `[n, d]`, the columns behind them and their public range.

    `auto` maps limits to [-1, 1] and `unit` to [0, 1]; `none` keeps units; `standard` gives
    each number mean 0 and deviation 1 *by the data*, which is no public preprocessing. A
    missing number is the middle of its limits. Categories are 0 and 1. A cell that should
    hold a number and does not raises `DataError`.
    """
    if scale not in SCALES:
        raise DataError(f"no scale is called {scale!r}{nearest(scale, SCALES)}")
    parts: list[NDArray[np.float32]] = []
    columns: list[TableColumn] = []
    first = 0
    for spec in fields:
        if isinstance(spec, Listed):
            part, categories = _one_hot(cells[spec.name], spec), spec.names or spec.codes
        else:
            part, categories = _scaled(_numbers(cells[spec.name], spec), spec, scale), ()
        columns.append(
            TableColumn(
                name=spec.name,
                first=first,
                width=part.shape[1],
                categories=categories,
                sensitive=spec.sensitive,
            )
        )
        parts.append(part)
        first += part.shape[1]
    limits = {"auto": (-1.0, 1.0), "unit": (0.0, 1.0)}.get(scale)
    return np.concatenate(parts, axis=1), tuple(columns), limits


def _numbers(cells: Column | Floats, spec: Ranged) -> Floats:
    """Return the column as numbers, NaN where it is missing."""
    if isinstance(cells, np.ndarray):
        return cells
    values = [number(cell) for cell in cells.cells]
    for row, (cell, value) in enumerate(zip(cells.cells, values, strict=True)):
        if value is None and not (spec.missing and cell in _MISSING):
            raise cells.error(row, f"is not a number ({cell or 'empty'})")
    return np.array([np.nan if value is None else value for value in values])


def _scaled(values: Floats, spec: Ranged, scale: str) -> NDArray[np.float32]:
    gone = np.isnan(values)
    plain = np.clip(values, spec.low, spec.high)
    plain[gone] = (spec.low + spec.high) / 2
    low, high = (_logged(np.float64(limit), spec) for limit in (spec.low, spec.high))
    unit = (_logged(plain, spec) - low) / (high - low)
    unit[gone] = 0.5
    if scale == "none":
        part = plain[:, None]
    elif scale == "standard":
        part = scaled(unit[:, None], "standard", table=True)[0]
    else:
        part = (unit if scale == "unit" else 2 * unit - 1)[:, None]
    if spec.missing:
        part = np.concatenate([part, gone[:, None]], axis=1)
    return part.astype(np.float32)


def _logged(value: Any, spec: Ranged) -> Any:
    return np.sign(value) * np.log1p(np.abs(value)) if spec.log else value


def _one_hot(cells: Column | Floats, spec: Listed) -> NDArray[np.float32]:
    values = cells.tolist() if isinstance(cells, np.ndarray) else cells.cells
    place = {code: i for i, code in enumerate(spec.codes)}
    last = len(spec.codes) - 1
    part = np.zeros((len(values), len(spec.codes)), dtype=np.float32)
    part[np.arange(len(values)), [place.get(_code(value), last) for value in values]] = 1
    return part


def _code(value: str | float) -> str:
    """Return a cell as its code; files write whole numbers with and without a point."""
    found = number(str(value))
    return str(value) if found is None or found != int(found) else str(int(found))
