"""Heart disease in four hospitals, which are the clients (Detrano et al. 1989)."""

from __future__ import annotations

import numpy as np

from ..columns import Column
from ..csv import read_columns
from ..dataset import Dataset
from .labeled import of_two
from .ranges import Field, Listed, Ranged
from .stored import Remote, Stored

HOSPITALS = ("cleveland", "hungarian", "switzerland", "va")

_COMMIT = (
    "https://raw.githubusercontent.com/potatochip/meatball_stats/"
    "76d3fce7a61884ac5b67b4c8c933b701d8a0240c/"
)
_SHA256 = {
    "cleveland": "a74b7efa387bc9d108d7d0115d831fe9b414b29ae7124f331b622b4efa0427c8",
    "hungarian": "1558931734ac6ffbf0e025fe87b259db92ed453adc86fb495a94764438325dc0",
    "switzerland": "91a4815c4dbc334d94ac45d750a2b0142f9374d55efb0b713c39bf4087ca5349",
    "va": "c3444281d066c7442feff05745e83694c47debe92ecdd6cbeef7318b53762320",
}

FILES = Stored(
    name="heart-disease",
    folder="ehr/heart_disease_uci",
    origin="https://archive.ics.uci.edu/dataset/45/heart+disease (the processed.*.data files)",
    remote={
        f"processed.{name}.data": Remote(url=f"{_COMMIT}processed.{name}.data", sha256=sha256)
        for name, sha256 in _SHA256.items()
    },
)

_UNKNOWN = "?"
FIELDS: tuple[Field, ...] = (
    Ranged(name="age", low=20, high=90, sensitive=True),
    Listed(name="sex", codes=("0", "1"), names=("female", "male"), sensitive=True),
    Listed(name="cp", codes=("1", "2", "3", "4")),
    Ranged(name="trestbps", low=80, high=220, missing=True),
    Ranged(name="chol", low=100, high=600, missing=True),
    Listed(name="fbs", codes=("0", "1", _UNKNOWN)),
    Listed(name="restecg", codes=("0", "1", "2", _UNKNOWN)),
    Ranged(name="thalach", low=60, high=220, missing=True),
    Listed(name="exang", codes=("0", "1", _UNKNOWN)),
    Ranged(name="oldpeak", low=-3, high=7, missing=True),
    Listed(name="slope", codes=("1", "2", "3", _UNKNOWN)),
    Ranged(name="ca", low=0, high=3, missing=True),
    Listed(name="thal", codes=("3", "6", "7", _UNKNOWN)),
)
"""The 13 measures of the UCI files, with limits of human physiology."""

NEVER_ZERO = ("trestbps", "chol")
"""Blood pressure and cholesterol, of which two hospitals write 0 where there is no value."""


def heart_disease(scale: str = "auto") -> Dataset:
    """Return 920 patients, `[n, d]`, grouped by hospital; 1 is any disease (num > 0).

    A missing number is the middle of its limits beside a feature that says so, a missing
    category one of its own: no value is imputed from other patients.
    """
    names = (*(field.name for field in FIELDS), "num")
    tables = {h: read_columns(FILES.file(f"processed.{h}.data"), names) for h in HOSPITALS}
    joined = {
        name: Column(
            table="heart-disease",
            name=name,
            cells=[
                "" if name in NEVER_ZERO and cell.strip("0.") == "" else cell
                for table in tables.values()
                for cell in table[name].cells
            ],
        )
        for name in names
    }
    sick = np.array([cell not in ("0", "0.0") for cell in joined["num"].cells], dtype=np.int64)
    groups = tuple(h for h, table in tables.items() for _ in table["num"].cells)
    return of_two("heart-disease", joined, FIELDS, sick, scale, groups)
