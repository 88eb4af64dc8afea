"""Training that stops when validation records say so."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from fl_jobs import job, records

from seepage.core.errors import DataError, UsageError
from seepage.core.plan import DataPlan
from seepage.core.task import Task, Training
from seepage.data.api import load
from seepage.data.partition import split
from seepage.fl.engine import train
from seepage.fl.predict import predict


def validated(n: int = 8, **training) -> Task:
    """A job on random labels, where the validation loss can only rise in the end."""
    task = job(rounds=60, lr=0.5, local_steps=3, **training)
    rng = torch.Generator().manual_seed(9)
    clients = tuple(
        replace(c, validation=records(n, 10_000 + 100 * i, rng)) for i, c in enumerate(task.clients)
    )
    return replace(task, clients=clients)


def validation_losses(task: Task) -> list[float]:
    """The loss after each round, of the same job without patience."""
    forever = replace(task, training=replace(task.training, patience=0))
    found = []
    kept = [c.validation for c in task.clients]
    inputs, targets = torch.cat([r.inputs for r in kept]), torch.cat([r.targets for r in kept])
    for rounds in range(1, task.training.rounds + 1):
        shorter = replace(forever, training=replace(forever.training, rounds=rounds))
        found.append(float(task.loss(predict(train(shorter, seed=0).model, inputs), targets)))
    return found


def test_training_stops_a_patience_after_the_least_loss() -> None:
    task = validated(patience=4)
    stopped = train(task, seed=0, record=range(60))
    rounds = stopped.task.training.rounds
    losses = validation_losses(task)
    assert rounds < 60
    least = losses.index(min(losses[:rounds]))
    assert rounds == least + 1 + 4
    # Before that, the least loss so far was never four rounds old.
    assert all(min(losses[: r + 1]) in losses[max(0, r - 3) : r + 1] for r in range(rounds - 1))
    assert sorted(stopped.rounds) == list(range(rounds))
    assert stopped.task.training.patience == 0
    # The model is the last one, and what was sent counts as far as it went.
    again = train(stopped.task, seed=0)
    for a, b in zip(again.model.parameters(), stopped.model.parameters(), strict=True):
        assert torch.equal(a, b)
    assert again.bytes_up == stopped.bytes_up


def test_patience_beyond_the_job_changes_nothing() -> None:
    task = validated(patience=60)
    without = train(replace(task, training=replace(task.training, patience=0)), seed=0)
    ours = train(task, seed=0)
    assert ours.task.training.rounds == 60
    for a, b in zip(ours.model.parameters(), without.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_patience_needs_records_to_validate_on() -> None:
    with pytest.raises(DataError, match="patience is 3, and no client has records to validate on"):
        train(job(patience=3), seed=0)
    with pytest.raises(UsageError, match="patience is -1; use 0 or more"):
        Training(patience=-1)
    with pytest.raises(UsageError, match=r"validation is 1; use a share in \(0, 1\)"):
        Training(validation=1)


def test_validation_records_are_neither_members_nor_held_out() -> None:
    data = load(DataPlan(source="digits"), rng=np.random.default_rng(0))
    plan = DataPlan(clients=3, train_limit=50)
    clients, aside = split(data, plan, np.random.default_rng(0), validation=0.2)
    rows = [aside.rows.tolist()]
    for client in clients:
        assert client.validation is not None
        assert len(client.train) == 50
        assert len(client.holdout) == round(0.25 * 449)
        assert len(client.validation) == round(0.2 * 449)
        rows += [part.rows.tolist() for part in (client.train, client.holdout, client.validation)]
    every = [row for part in rows for row in part]
    assert len(set(every)) == len(every)
    with pytest.raises(DataError, match=r"a share below 0\.75, what is not held out"):
        split(data, plan, np.random.default_rng(0), validation=0.8)
