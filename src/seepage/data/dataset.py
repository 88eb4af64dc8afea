"""A dataset in memory, which can't hold what can't be trained on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..core.columns import TableColumn, column_named
from ..core.errors import DataError


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """Records that a job may train on; making one checks it (see `check`).

    Fields
    ------
    name : what messages and reports call it
    inputs : float32 `[n, *shape]`, finite, n >= 1
    targets : int64 labels `[n]` in 0..classes-1, or float32 values `[n]`
    classes : number of labels, 0 for regression
    value_range : range that public preprocessing maps each input value to, or None
    groups : the partition column's value of each row, or None
    feature_names : of the columns of a table `[n, d]`; else empty
    columns : the table's columns and which features each became, in order; else empty
    """

    name: str
    inputs: Tensor
    targets: Tensor
    classes: int
    value_range: tuple[float, float] | None = None
    groups: tuple[str, ...] | None = None
    feature_names: tuple[str, ...] = ()
    columns: tuple[TableColumn, ...] = ()

    def __post_init__(self) -> None:
        check(self)

    def __len__(self) -> int:
        return len(self.inputs)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the shapes and bytes of inputs, targets and groups."""
        digest = hashlib.sha256()
        for tensor, kind in (
            (self.inputs, "<f4"),
            (self.targets, _TARGET_BYTES[bool(self.classes)]),
        ):
            values = np.ascontiguousarray(tensor.numpy().astype(kind, copy=False))
            digest.update(json.dumps([kind, list(values.shape)]).encode())
            digest.update(values.data)
        digest.update(json.dumps(self.groups).encode())
        return digest.hexdigest()

    def take(self, index: NDArray[np.int64]) -> Dataset:
        """Return the rows at `index`, in that order."""
        rows = torch.from_numpy(index)
        groups = self.groups
        return replace(
            self,
            inputs=self.inputs[rows],
            targets=self.targets[rows],
            groups=None if groups is None else tuple(groups[i] for i in index),
        )

    def values_of(self, name: str) -> tuple[str, ...]:
        """Return the category of each row in the column `name`; raise `DataError` for none."""
        column = column_named(self.columns, name)
        if not column.categories:
            raise DataError(f"{self.name}: column {name!r} holds numbers, no categories")
        places = self.inputs[:, column.features].argmax(1).tolist()
        return tuple(column.categories[place] for place in places)


_TARGET_BYTES = {True: "<i8", False: "<f4"}


def check(dataset: Dataset) -> None:
    """Raise `DataError` that names the first row or column that can't be trained on."""
    _check_shapes(dataset)
    name, columns = dataset.name, dataset.feature_names
    check_finite(dataset.inputs.numpy(), name=name, part="inputs", columns=columns)
    check_finite(dataset.targets.numpy(), name=name, part="targets")
    if dataset.classes:
        _check_labels(dataset)


def _check_shapes(dataset: Dataset) -> None:
    name, inputs, targets = dataset.name, dataset.inputs, dataset.targets
    if inputs.dtype != torch.float32 or inputs.device.type != "cpu":
        raise DataError(f"{name}: inputs are {inputs.dtype} on {inputs.device}; use float32 on cpu")
    wanted = torch.int64 if dataset.classes else torch.float32
    if targets.dtype != wanted or targets.device.type != "cpu":
        raise DataError(
            f"{name}: targets are {targets.dtype} on {targets.device}; use {wanted} on cpu "
            f"for {dataset.classes} classes (0 is regression)"
        )
    if inputs.ndim < 2 or targets.ndim != 1:
        raise DataError(
            f"{name}: inputs are {tuple(inputs.shape)} and targets {tuple(targets.shape)}; "
            "give inputs [n, features] or [n, channels, height, width] and targets [n]"
        )
    groups = len(targets) if dataset.groups is None else len(dataset.groups)
    if not len(inputs) == len(targets) == groups:
        raise DataError(
            f"{name}: {len(inputs)} inputs, {len(targets)} targets"
            + (f", {groups} groups" if dataset.groups is not None else "")
            + "; give one of each a row"
        )
    if not inputs.numel():
        raise DataError(f"{name}: inputs of shape {tuple(inputs.shape)} hold no values")
    if dataset.feature_names and len(dataset.feature_names) != inputs.shape[1]:
        raise DataError(
            f"{name}: {len(dataset.feature_names)} feature names for {inputs.shape[1]} columns"
        )
    ends = [0, *(c.first + c.width for c in dataset.columns)]
    if dataset.columns and [*(c.first for c in dataset.columns), inputs.shape[1]] != ends:
        raise DataError(
            f"{name}: its columns do not cover its {inputs.shape[1]} features, each once in order"
        )


def check_finite(
    values: NDArray[Any], *, name: str, part: str, columns: tuple[str, ...] = ()
) -> None:
    """Raise `DataError` at the first value that is NaN or infinite; `columns` names axis 1."""
    finite = np.isfinite(values)
    if finite.all():
        return
    place: list[int] = np.argwhere(~finite)[0].tolist()
    value = values[tuple(place)]
    column = f", column {columns[place[1]]!r}" if columns else ""
    what = "not a number" if np.isnan(value) else "not finite"
    raise DataError(
        f"{name}: row {place[0]}{column} is {what} ({value}) at {part}{place}; "
        "fill it, or drop the row"
    )


def _check_labels(dataset: Dataset) -> None:
    targets, classes = dataset.targets, dataset.classes
    if classes < 2:
        raise DataError(f"{dataset.name}: {classes} class leaves nothing to learn; give 2 or more")
    outside = torch.nonzero((targets < 0) | (targets >= classes))
    if len(outside):
        row = int(outside[0])
        raise DataError(
            f"{dataset.name}: row {row} has the label {int(targets[row])}, outside "
            f"0..{classes - 1}; number the labels from 0"
        )
