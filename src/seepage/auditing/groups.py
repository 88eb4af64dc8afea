"""Which group each record belongs to, by a column of the table, its label or its client."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from ..core.columns import TableColumn, column_named
from ..core.errors import UsageError
from ..core.names import nearest

if TYPE_CHECKING:
    from torch import Tensor

    from ..core.task import Records, Task
    from .cells import Job

LABEL, CLIENT = "label", "client"
Groups = tuple[list[str], NDArray[np.int64]]
_QUARTERS = (0.25, 0.5, 0.75)


def check_groups(jobs: Sequence[Job]) -> None:
    """Raise `UsageError` where a job is to be sliced by what is no column of its table."""
    for job in jobs:
        known = [LABEL, CLIENT, *(column.name for column in job.task.columns)]
        for name in job.groups:
            if name not in known:
                raise UsageError(
                    f"task {job.task.name}: groups is no place for {name!r}{nearest(name, known)}"
                )


def slices_of(job: Job) -> list[str]:
    """Return by what memberships are sliced: what the job asks for, else all that people mind."""
    if job.groups:
        return list(job.groups)
    sensitive = [column.name for column in job.task.columns if column.sensitive]
    return [*sensitive, LABEL, *([CLIENT] if len(job.task.clients) > 1 else [])]


def groups_of(by: str, task: Task, records: Records) -> Groups:
    """Return the groups in their order, and which of them each record belongs to.

    Categories and classes are groups by themselves. Numbers fall into parts of about as many
    auxiliary records, at most four, named by their order: their limits would be values.
    """
    if by == CLIENT:
        names = [client.name for client in task.clients]
        holder = holders(task)
        return names, np.array([names.index(holder[row]) for row in records.rows.tolist()])
    if by != LABEL:
        column = column_named(task.columns, by)
        return _of_column(column, records.inputs, task.auxiliary.inputs)
    if task.classes:
        return [f"class {label}" for label in range(task.classes)], records.targets.numpy()
    return _parts(records.targets, task.auxiliary.targets)


def holders(task: Task) -> dict[int, str]:
    """Return the name of the client that holds each row of the job's data."""
    return {
        row: client.name
        for client in task.clients
        for part in (client.train, client.holdout)
        for row in part.rows.tolist()
    }


def _of_column(column: TableColumn, inputs: Tensor, auxiliary: Tensor) -> Groups:
    features, known = inputs[:, column.features], auxiliary[:, column.features]
    if column.categories:
        return list(column.categories), features.argmax(1).numpy()
    if column.width == 1:
        return _parts(features[:, 0], known[:, 0])
    names, place = _parts(features[:, 0], known[known[:, 1] != 1, 0])
    return [*names, "(missing)"], np.where(features[:, 1].numpy() == 1, len(names), place)


def _parts(values: Tensor, auxiliary: Tensor) -> Groups:
    """Split the range of values at the quartiles of auxiliary values."""
    if not len(auxiliary):
        return ["all"], np.zeros(len(values), dtype=np.int64)
    edges = auxiliary.quantile(torch.tensor(_QUARTERS, dtype=auxiliary.dtype)).unique()
    edges = edges[edges < auxiliary.max()]
    count = len(edges) + 1
    names = [f"part {i + 1} of {count}" for i in range(count)]
    if count > 1:
        names[0], names[-1] = f"lowest of {count} parts", f"highest of {count} parts"
    return names, torch.bucketize(values.contiguous(), edges).numpy()
