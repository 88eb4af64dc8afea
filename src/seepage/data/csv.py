"""Reads tables of comma-separated values (.csv, .csv.gz) with a header row."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Sequence
from pathlib import Path

from ..core.errors import DataError
from ..core.plan import DataPlan
from .columns import Column, number
from .dataset import Dataset
from .table import from_table


def read(path: Path, plan: DataPlan) -> Dataset:
    """Return the table in a file as `from_table` makes it of its columns."""
    return from_table(read_columns(path), plan, path.name)


def read_columns(path: Path, names: Sequence[str] = ()) -> dict[str, Column]:
    """Return the columns of a file by name, every cell stripped.

    `names` are those of a file without a header row; a row that repeats them, or a comment
    after `|` (as UCI's files have), is skipped.
    Raises `DataError` that names the row (from 1, below the header) at fault.
    """
    text = _text(path)
    reader = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True)
    rows: list[list[str]] = []
    lines: list[int] = []
    try:
        header = list(names) or [cell.strip() for cell in next(reader, [])]
        _check_header(header, path.name)
        for row in reader:
            if not "".join(row).strip() and len(row) < 2:
                continue
            if names and _is_heading(row, header):
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


def _is_heading(row: list[str], header: list[str]) -> bool:
    return row[0].startswith("|") or [cell.strip() for cell in row] == header


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
