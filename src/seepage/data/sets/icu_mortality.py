"""Stays in intensive care and whether the patient died in hospital (Silva et al. 2012).

PhysioNet/CinC Challenge 2012, set A: 48 hours of 37 irregular time series a patient become
a fixed vector: of each series its first, last, lowest, highest and mean value, with a
feature that says where nothing was measured.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...core.errors import DataError
from ..dataset import Dataset
from .icu_files import Measurements, read_deaths, read_parquet, read_tar
from .labeled import of_two
from .ranges import Field, Floats, Listed, Ranged
from .stored import Stored

FILES = Stored(
    name="icu-mortality",
    folder="ehr/physionet2012_set_a",
    origin="https://physionet.org/content/challenge-2012/1.0.0/ (set-a.tar.gz and Outcomes-a.txt)",
)

SERIES: dict[str, tuple[float, float]] = {
    "ALP": (1, 3_000),
    "ALT": (1, 20_000),
    "AST": (1, 20_000),
    "Albumin": (0.5, 7),
    "BUN": (1, 250),
    "Bilirubin": (0.1, 80),
    "Cholesterol": (20, 500),
    "Creatinine": (0.1, 30),
    "DiasABP": (10, 200),
    "FiO2": (0.2, 1),
    "GCS": (3, 15),
    "Glucose": (10, 1_500),
    "HCO3": (2, 60),
    "HCT": (5, 70),
    "HR": (10, 300),
    "K": (1, 12),
    "Lactate": (0.1, 35),
    "MAP": (10, 250),
    "Mg": (0.2, 12),
    "NIDiasABP": (10, 200),
    "NIMAP": (10, 250),
    "NISysABP": (30, 320),
    "Na": (90, 190),
    "PaCO2": (8, 150),
    "PaO2": (15, 700),
    "Platelets": (1, 2_000),
    "RespRate": (2, 80),
    "SaO2": (30, 100),
    "SysABP": (30, 320),
    "Temp": (25, 44),
    "TroponinI": (0.01, 100),
    "TroponinT": (0.01, 50),
    "Urine": (0, 3_000),
    "WBC": (0.1, 300),
    "Weight": (20, 300),
    "pH": (6.5, 8),
}
"""Limits of what a living adult can have, in the challenge's units.

A value outside is an artifact (a temperature of -18 C, a pH of 735) and is left out.
"""

LOGGED = frozenset(
    (
        *("ALP", "ALT", "AST", "BUN", "Bilirubin", "Creatinine", "Glucose", "Lactate"),
        *("Platelets", "TroponinI", "TroponinT", "Urine", "WBC"),
    )
)
"""Amounts that range over powers of ten."""

SUMMARIES = ("first", "last", "low", "high", "mean")

UNITS = ("coronary", "cardiac surgery recovery", "medical", "surgical")
"""ICUType 1 to 4."""

_KNOWN: tuple[Field, ...] = (
    Ranged(name="Age", low=15, high=90, sensitive=True),
    Listed(name="Gender", codes=("0", "1", "-1"), names=("female", "male", "?"), sensitive=True),
    Ranged(name="Height", low=120, high=220, missing=True),
    Listed(name="ICUType", codes=("1", "2", "3", "4"), names=UNITS),
    Listed(name="MechVent", codes=("0", "1"), names=("no", "yes")),
)

FIELDS: tuple[Field, ...] = (
    *_KNOWN,
    *(
        Ranged(
            name=f"{name} {summary}",
            low=low,
            high=high,
            log=name in LOGGED,
            missing=summary == SUMMARIES[0],
        )
        for name, (low, high) in SERIES.items()
        for summary in SUMMARIES
    ),
)


def icu_mortality(scale: str = "auto") -> Dataset:
    """Return 4,000 stays, `[n, d]`, grouped by the unit's type; 1 is death in hospital.

    Patients stand in the order of their numbers. Reading set_a.parquet needs the extra
    `parquet`; set-a.tar.gz, as PhysioNet packs it, needs none.
    """
    path = FILES.file("set_a.parquet", "set-a.tar.gz")
    rows = read_parquet(path) if path.suffix == ".parquet" else read_tar(path)
    deaths = read_deaths(FILES.file("Outcomes-a.txt"))
    patients = np.unique(rows.patient)
    unknown = [int(p) for p in patients if int(p) not in deaths]
    if unknown:
        raise DataError(f"icu-mortality: patient {unknown[0]} has no outcome in Outcomes-a.txt")
    table = _table(rows, patients)
    labels = np.array([deaths[int(p)] for p in patients], dtype=np.int64)
    groups = tuple(UNITS[int(code) - 1] for code in table["ICUType"])
    return of_two("icu-mortality", table, FIELDS, labels, scale, groups)


def _table(rows: Measurements, patients: NDArray[np.int64]) -> dict[str, Floats]:
    """Return by column one value a patient, NaN where there is none."""
    order = np.lexsort((rows.minute, rows.patient))
    who = np.searchsorted(patients, rows.patient[order])
    what, value = rows.what[order], rows.value[order]
    codes = {name: i for i, name in enumerate(rows.names)}

    def series(name: str, low: float, high: float) -> dict[str, Floats]:
        """Return the summaries of one series, of its values within limits."""
        kept = (what == codes.get(name, -1)) & (value >= low) & (value <= high)
        return _summaries(who[kept], value[kept], len(patients))

    table: dict[str, Floats] = {}
    for name, (low, high) in SERIES.items():
        table |= {f"{name} {s}": values for s, values in series(name, low, high).items()}
    table["Age"] = series("Age", 0, 150)["first"]
    table["Height"] = series("Height", 50, 250)["first"]
    table["Gender"] = np.nan_to_num(series("Gender", 0, 1)["first"], nan=-1)
    table["MechVent"] = np.nan_to_num(series("MechVent", 1, 1)["first"])
    table["ICUType"] = series("ICUType", 1, 4)["first"]
    for name in ("Age", "ICUType"):
        if np.isnan(table[name]).any():
            patient = int(patients[np.isnan(table[name])][0])
            raise DataError(f"icu-mortality: patient {patient} has no {name}")
    return table


def _summaries(who: NDArray[np.int64], values: Floats, patients: int) -> dict[str, Floats]:
    """Return the summaries of values that are sorted by patient and time."""
    found = {summary: np.full(patients, np.nan) for summary in SUMMARIES}
    present, starts, counts = np.unique(who, return_index=True, return_counts=True)
    if len(present):
        found["first"][present] = values[starts]
        found["last"][present] = values[starts + counts - 1]
        found["low"][present] = np.minimum.reduceat(values, starts)
        found["high"][present] = np.maximum.reduceat(values, starts)
        found["mean"][present] = np.add.reduceat(values, starts) / counts
    return found
