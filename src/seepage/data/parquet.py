"""Reads tables in Apache Parquet (.parquet); the extra `parquet` brings pyarrow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..core.errors import DataError, MissingExtraError
from ..core.plan import DataPlan
from .columns import Column
from .dataset import Dataset
from .table import from_table


def read(path: Path, plan: DataPlan) -> Dataset:
    """Return the table in a file as `from_table` makes it of its columns.

    Numbers, decimals, booleans (as 0 and 1) and texts can be used; a column of another
    type, or a null, raises `DataError` that names it.
    """
    table = read_table(path)
    if not table.num_rows:
        raise DataError(f"{path.name}: has no rows")
    columns = {
        name: Column(table=path.name, name=name, cells=_cells(table.column(name), name, path.name))
        for name in table.column_names
    }
    return from_table(columns, plan, path.name)


def read_table(path: Path, columns: list[str] | None = None) -> Any:
    """Return the pyarrow table in a file, of `columns` only (None: all).

    Raises `MissingExtraError` where pyarrow is not installed, `DataError` where the file
    is damaged, lacks a column or names one twice.
    """
    try:
        import pyarrow  # the extra `parquet`
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise MissingExtraError(f"{path.name}: reading parquet", "parquet") from error
    try:
        with ParquetFile(path) as file:
            names = file.schema_arrow.names
            if missing := [name for name in columns or [] if name not in names]:
                raise DataError(
                    f"{path.name}: lacks the column {missing[0]!r}; it has {', '.join(names)}"
                )
            if twice := [name for name in names if names.count(name) > 1]:
                raise DataError(f"{path.name}: two columns are called {twice[0]!r}")
            return file.read(columns=columns)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path.name}: can't be read as parquet: {error}") from error


def _cells(column: Any, name: str, table: str) -> list[str]:
    from pyarrow import types

    kind = column.type
    if types.is_dictionary(kind):
        kind = kind.value_type
    values = column.to_pylist()
    if types.is_boolean(kind):
        values = [None if value is None else int(value) for value in values]
    elif not (
        types.is_integer(kind)
        or types.is_floating(kind)
        or types.is_decimal(kind)
        or types.is_string(kind)
        or types.is_large_string(kind)
    ):
        raise DataError(
            f"{table}: column {name!r} is of type {kind}; drop it, or turn it into numbers or text"
        )
    return ["" if value is None else str(value).strip() for value in values]
