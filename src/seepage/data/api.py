"""Loads what a plan names, and takes users' own arrays."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..core.cards import Card
from ..core.errors import DataError
from ..core.names import nearest
from ..core.plan import DataPlan
from ..core.registry import card, cards
from . import csv, idx, image_folder, npz, parquet
from .arrays import assemble
from .dataset import Dataset
from .files import data_folder, locate
from .scale import SCALES

_REFERENCE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def load(plan: DataPlan, *, base: Path | None = None, rng: np.random.Generator) -> Dataset:
    """Return the dataset that `plan.source` names, `plan.limit` rows of it drawn by `rng`.

    A source is a dataset that has a name (of a table, `plan.column` names a column of
    categories for the groups); a file, or a folder of images, relative to `base` (the plan's
    folder, else the current one) or to the folder in SEEPAGE_DATA (else the user's cache
    folder); or `module:function`, called without arguments, that returns `(inputs, targets)` or a
    `Dataset`. Raises `DataError` where there is none, or it can't be trained on.
    """
    if plan.limit < 0:
        raise DataError(f"data.limit is {plan.limit}; use 0 (all) or more")
    if plan.scale not in SCALES:
        raise DataError(f"no data.scale is called {plan.scale!r}{nearest(plan.scale, SCALES)}")
    dataset = _load(plan, base or Path.cwd())
    if 0 < plan.limit < len(dataset):
        drawn = rng.choice(len(dataset), plan.limit, replace=False)
        return dataset.take(np.sort(drawn).astype(np.int64))
    return dataset


def from_arrays(
    inputs: Any, targets: Any, *, classes: int | None = None, name: str = "data"
) -> Dataset:
    """Return a dataset of tensors or numpy arrays, inputs `[n, *shape]` and targets `[n]`.

    Bytes (uint8) are divided by 255; other values are kept, as float32. `value_range` is
    (0, 1) where all values lie in it, else None. Integer targets are labels 0..max, floats
    are values to regress; `classes` overrides either. Raises `DataError`.

    >>> data = from_arrays(np.zeros((4, 3)), np.array([0, 1, 2, 1]))
    >>> data.classes, data.value_range, tuple(data.inputs.shape)
    (3, (0.0, 1.0), (4, 3))
    """
    return assemble(inputs, targets, name=name, classes=classes)


def _load(plan: DataPlan, base: Path) -> Dataset:
    source = plan.source
    if source in cards("datasets"):
        _refuse(plan, "inputs", "targets")
        settings = {} if plan.scale == "auto" else {"scale": plan.scale}
        made = _made(source, card("datasets", source).build(settings))
        if not made.columns:
            _refuse(plan, "column")
        return replace(made, groups=made.values_of(plan.column)) if plan.column else made
    if _REFERENCE.fullmatch(source):
        _refuse(plan, "inputs", "targets", "column")
        return _call(source, plan.scale)
    path = locate(source, base, data_folder())
    name = path.name.lower()
    if path.is_dir() or name.endswith(".zip"):
        _refuse(plan, "targets", "column")
        return image_folder.read(path, plan)
    if name.endswith(".npz"):
        return npz.read(path, plan)
    if name.endswith((".csv", ".csv.gz")):
        _refuse(plan, "inputs")
        return csv.read(path, plan)
    if name.endswith(".parquet"):
        _refuse(plan, "inputs")
        return parquet.read(path, plan)
    if idx.is_idx(path):
        _refuse(plan, "inputs", "column")
        return idx.read(path, _labels_file(path, plan, base), plan)
    raise DataError(
        f"{path.name}: unknown format; use .npz, .csv, .csv.gz, .parquet, "
        "IDX files, or a folder (or .zip) of images with a subfolder a class"
    )


def _refuse(plan: DataPlan, *names: str) -> None:
    for name in names:
        if value := getattr(plan, name):
            raise DataError(
                f"data.{name} = {value!r} means nothing for {plan.source}; leave it out"
            )


def _labels_file(images: Path, plan: DataPlan, base: Path) -> Path:
    if plan.targets:
        return locate(plan.targets, images.parent, base, data_folder())
    if beside := idx.labels_beside(images):
        return beside
    raise DataError(f"{images.name}: set data.targets to the IDX file of its labels")


def _call(reference: str, scale: str) -> Dataset:
    try:
        made = Card(name=reference, summary="", implementation=reference).load()()
    except Exception as error:  # whatever a user's module raises
        raise DataError(f"{reference} gives no data: {type(error).__name__}: {error}") from error
    if isinstance(made, tuple | list) and len(made) == 2:
        return assemble(made[0], made[1], name=reference, scale=scale)
    return _made(reference, made)


def _made(source: str, made: Any) -> Dataset:
    if isinstance(made, Dataset):
        return made
    raise DataError(
        f"{source} returned {type(made).__name__}; return (inputs, targets) or a Dataset"
    )
