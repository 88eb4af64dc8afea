"""Who holds which record: the clients' parts, their holdouts and the auxiliary part."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ..core.errors import DataError
from ..core.names import nearest
from ..core.plan import DataPlan
from ..core.task import ClientData, Records
from .dataset import Dataset
from .skew import dirichlet

PARTITIONS = ("iid", "dirichlet", "column")

Rows = NDArray[np.int64]


def split(
    dataset: Dataset,
    plan: DataPlan,
    rng: np.random.Generator,
    *,
    holdout: float = 0.25,
    auxiliary: float = 0.25,
    validation: float = 0.0,
) -> tuple[tuple[ClientData, ...], Records]:
    """Return the clients and the auxiliary records; no row is in two parts.

    The share `auxiliary` in [0, 1) of all rows is set aside first, so that it is of the
    same population. The rest goes to `plan.clients` clients of equal size (`iid`, or
    `dirichlet` for label skew), or to one client a group (`column`). Each client then
    holds out its share `holdout` in (0, 1), at least one record, sets the share
    `validation` in [0, 1) aside, and trains on at least one, at most `plan.train_limit`.
    With `column` the auxiliary rows are drawn group by group and leave each client two, so
    that a small client never vanishes by chance. `Records.rows` index `dataset`.

    Raises `DataError` where rows are too few, or the partition does not fit the data.
    """
    if not (0 < holdout < 1 and 0 <= auxiliary < 1):
        raise DataError(f"holdout {holdout} must lie in (0, 1) and auxiliary {auxiliary} in [0, 1)")
    if plan.train_limit < 0 or not 0 <= validation < 1 - holdout:
        raise DataError(
            f"data.train_limit is {plan.train_limit} and training.validation {validation}; use 0 "
            f"(all) or more, and a share below {1 - holdout:g}, what is not held out"
        )
    if plan.partition not in PARTITIONS:
        near = nearest(plan.partition, PARTITIONS)
        raise DataError(f"no partition is called {plan.partition!r}{near}")
    if plan.partition == "column":
        parts, aside = _by_group(dataset, auxiliary, rng)
    else:
        parts, aside = _by_count(dataset, plan, auxiliary, rng)
    clients = tuple(
        _client(dataset, name, rng.permutation(rows), plan, (holdout, validation))
        for name, rows in parts.items()
    )
    return clients, _records(dataset, aside)


def _by_count(
    dataset: Dataset, plan: DataPlan, auxiliary: float, rng: np.random.Generator
) -> tuple[dict[str, Rows], Rows]:
    total, clients = len(dataset), plan.clients
    if clients < 1:
        raise DataError(f"data.clients is {clients}; use 1 or more")
    count = max(round(auxiliary * total), 1 if auxiliary else 0)
    if total - count < 2 * clients:
        raise DataError(
            f"{dataset.name}: {total} rows are too few for {clients} clients, which need two each "
            f"beside {count} auxiliary rows; use at most {max(total - count, 0) // 2} clients"
        )
    rows = rng.permutation(total).astype(np.int64)
    aside, rest = rows[:count], rows[count:]
    if plan.partition == "iid":
        parts = np.array_split(rest, clients)
    else:
        if not dataset.classes:
            raise DataError(
                f"{dataset.name}: dirichlet skews labels, and a regression has none; use iid"
            )
        labels = dataset.targets.numpy()[rest]
        parts = [rest[part] for part in dirichlet(labels, clients, plan.alpha, rng)]
    return {f"client-{i}": part for i, part in enumerate(parts)}, aside


def _by_group(
    dataset: Dataset, auxiliary: float, rng: np.random.Generator
) -> tuple[dict[str, Rows], Rows]:
    if dataset.groups is None:
        raise DataError(f"{dataset.name}: partition = 'column' needs data.column to name a column")
    members: dict[str, list[int]] = {name: [] for name in sorted(set(dataset.groups))}
    for row, name in enumerate(dataset.groups):
        members[name].append(row)
    parts: dict[str, Rows] = {}
    aside: list[Rows] = [np.zeros(0, dtype=np.int64)]
    for name, found in members.items():
        if len(found) < 2:
            raise DataError(
                f"{dataset.name}: client {name!r} has {len(found)} row, too few to train on and "
                "hold out; drop it, or merge it into another"
            )
        rows = rng.permutation(np.array(found, dtype=np.int64))
        # Rounding up by chance keeps the expected share exact in groups of any size.
        count = min(int(auxiliary * len(rows) + rng.random()), len(rows) - 2)
        aside.append(rows[:count])
        parts[name] = rows[count:]
    drawn = np.concatenate(aside)
    if auxiliary and not len(drawn):
        raise DataError(
            f"{dataset.name}: {len(dataset)} rows leave none for the auxiliary part beside two "
            f"for each of {len(parts)} clients; give more rows"
        )
    return parts, drawn


def _client(
    dataset: Dataset, name: str, rows: Rows, plan: DataPlan, shares: tuple[float, float]
) -> ClientData:
    holdout, validation = shares
    held = min(max(round(holdout * len(rows)), 1), len(rows) - 1)
    aside = min(max(round(validation * len(rows)), 1), len(rows) - held - 1) if validation else 0
    train = rows[held + aside :]
    return ClientData(
        name=name,
        train=_records(dataset, train[: plan.train_limit or len(train)]),
        holdout=_records(dataset, rows[:held]),
        validation=_records(dataset, rows[held : held + aside]) if validation else None,
    )


def _records(dataset: Dataset, rows: Rows) -> Records:
    index = torch.from_numpy(rows)
    return Records(inputs=dataset.inputs[index], targets=dataset.targets[index], rows=index)
