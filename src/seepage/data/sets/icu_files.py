"""Reads the ICU stays of PhysioNet 2012, set A: as PhysioNet packs them, or in one parquet."""

from __future__ import annotations

import csv
import io
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...core.errors import DataError
from ..csv import read_columns
from ..parquet import read_table


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurements:
    """Measured values, one a row: whose, when, what and how much.

    Fields
    ------
    patient : int64 `[m]`, the record's number
    minute : int64 `[m]`, since admission
    what : int64 `[m]`, the place of its name in `names`
    value : float64 `[m]`
    """

    patient: NDArray[np.int64]
    minute: NDArray[np.int64]
    what: NDArray[np.int64]
    value: NDArray[np.float64]
    names: tuple[str, ...]


def read_parquet(path: Path) -> Measurements:
    """Return the measurements in columns record_id, minute, parameter and value."""
    table = read_table(path, ["record_id", "minute", "parameter", "value"])
    names = table.column("parameter").cast("string").combine_chunks().dictionary_encode()
    return Measurements(
        patient=table.column("record_id").to_numpy().astype(np.int64),
        minute=table.column("minute").to_numpy().astype(np.int64),
        what=names.indices.to_numpy().astype(np.int64),
        value=table.column("value").to_numpy().astype(np.float64),
        names=tuple(names.dictionary.to_pylist()),
    )


def read_tar(path: Path) -> Measurements:
    """Return the measurements in a set-a.tar.gz, which holds one text file a patient."""
    rows: list[tuple[int, int, str, float]] = []
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                file = archive.extractfile(member) if member.name.endswith(".txt") else None
                if file is not None:
                    rows += _patient(file.read().decode(), f"{path.name}: {member.name}")
    except (tarfile.TarError, OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"{path.name}: can't be read as set-a.tar.gz: {error}") from error
    if not rows:
        raise DataError(f"{path.name}: holds no patients' .txt files; fetch it again")
    patient, minute, parameter, value = zip(*rows, strict=True)
    names, what = np.unique(parameter, return_inverse=True)
    return Measurements(
        patient=np.array(patient, dtype=np.int64),
        minute=np.array(minute, dtype=np.int64),
        what=what.astype(np.int64),
        value=np.array(value, dtype=np.float64),
        names=tuple(map(str, names)),
    )


def read_deaths(path: Path) -> dict[int, int]:
    """Return by record number whether the patient died in hospital, from Outcomes-a.txt."""
    columns = read_columns(path)
    numbers, deaths = columns.get("RecordID"), columns.get("In-hospital_death")
    if numbers is None or deaths is None:
        raise DataError(f"{path.name}: lacks RecordID or In-hospital_death; fetch it again")
    for row, cell in enumerate(deaths.cells):
        if cell not in ("0", "1"):
            raise deaths.error(row, f"is {cell!r}, neither 0 nor 1")
    return {int(n): int(d) for n, d in zip(numbers.cells, deaths.cells, strict=True)}


def _patient(text: str, where: str) -> list[tuple[int, int, str, float]]:
    """Return the rows of a file whose lines are Time (hh:mm), Parameter, Value."""
    found: list[tuple[int, str, float]] = []
    number = None
    for line, row in enumerate(csv.reader(io.StringIO(text)), 1):
        if line == 1 or not row or (len(row) == 3 and not row[1]):
            continue
        try:
            time, parameter, cell = row
            hours, minutes = time.split(":")
            value = float(cell)
        except ValueError as error:
            raise DataError(f"{where}, line {line}: {','.join(row)!r} is no measurement") from error
        if parameter == "RecordID":
            number = int(value)
        else:
            found.append((60 * int(hours) + int(minutes), parameter, value))
    if number is None:
        raise DataError(f"{where}: has no RecordID")
    return [(number, *row) for row in found]
