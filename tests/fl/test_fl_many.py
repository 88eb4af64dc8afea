"""Federations that are trained in step are those that are trained one by one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from fl_jobs import as_double, cnn, job, mlp, records
from torch import Tensor, nn

from seepage.core.errors import UsageError
from seepage.core.task import Task
from seepage.defenses.api import DPSGD
from seepage.fl import many
from seepage.fl.engine import train
from seepage.fl.many import Deals, train_many
from seepage.fl.shelf import Shelf
from seepage.fl.state import shared_state

SEEDS = (3, 8, 11)


def deals(task: Task, sizes: tuple[int, ...] = (10, 10, 10, 10)) -> Deals:
    """Deal a pool of 60 records out anew for each seed."""
    pool = records(60, 0, torch.Generator().manual_seed(1))
    pool = replace(pool, inputs=pool.inputs.to(task.clients[0].train.inputs.dtype))
    parts: list[list[Tensor]] = []
    for seed in SEEDS:
        order = torch.randperm(60, generator=torch.Generator().manual_seed(seed))
        parts.append(list(order[: sum(sizes)].split(list(sizes))))
    return Deals(pool=pool, parts=parts, seeds=SEEDS)


@pytest.mark.parametrize(
    ("make", "training"),
    [
        (mlp, {}),
        (mlp, {"local_steps": 3}),
        (cnn, {"cohort": 2, "batch_size": 0}),
        (mlp, {"cohort": 3, "local_steps": 2, "batch_size": 7}),
    ],
)
def test_in_step_is_one_by_one(make, training) -> None:
    task = as_double(job(make, rounds=4, **training))
    given = deals(task)
    together = train_many(task, given, keep={2}, in_step=True)
    for k, (seed, found) in enumerate(zip(SEEDS, together, strict=True)):
        alone = train(given.task(task, k), seed=seed, record={2})
        for name, value in shared_state(alone.model).items():
            assert torch.allclose(found.last[name], value, rtol=0, atol=1e-12)
            assert torch.allclose(found.states[2][name], alone.states[2][name], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("task", "sizes", "defenses"),
    [
        (job(lambda: mlp(last=nn.BatchNorm1d(16))), (10,) * 4, ()),
        (job(lambda: mlp(last=nn.Dropout())), (10,) * 4, ()),
        (job(batch_size=0), (8, 9, 10, 11), ()),
        (job(), (10,) * 4, (DPSGD(),)),
    ],
)
def test_what_can_t_run_in_step_runs_one_by_one(task, sizes, defenses, monkeypatch) -> None:
    def never(*_: object) -> None:
        """Fail: such a job must not get here."""
        raise AssertionError

    monkeypatch.setattr(many, "train_in_step", never)
    found = train_many(task, deals(task, sizes), defenses=defenses, in_step=True)
    assert len(found) == len(SEEDS)
    first, second = (f.last["1.weight"] for f in found[:2])
    assert not torch.equal(first, second)


def test_one_that_diverges_is_refused() -> None:
    task = job(lr=1e20)
    with pytest.raises(UsageError, match="diverged in round"):
        train_many(task, deals(task), in_step=True)


@pytest.mark.parametrize("spread", [False, True])
def test_a_killed_set_goes_on_with_the_federations_that_were_finished(
    tmp_path, monkeypatch, spread
) -> None:
    """Of three, one file is lost and one torn: both are made again, and nothing else is."""
    monkeypatch.setattr(many, "TOGETHER", 1)
    if spread:
        monkeypatch.setattr(many, "WORTH_PROCESSES", 0.0)
    task = job(lambda: mlp(24))
    given, shelf = deals(task), Shelf(tmp_path / "shadows", "abc")
    told: list[tuple[int, int]] = []
    whole = train_many(task, given, keep={1}, shelf=shelf, cores=2)
    kept, torn, lost = sorted((tmp_path / "shadows").glob("*.pt"))
    lost.unlink()
    torn.write_bytes(torn.read_bytes()[:100])
    before = kept.stat().st_mtime_ns
    again = train_many(
        task, given, keep={1}, shelf=shelf, cores=2, on_trained=lambda *n: told.append(n)
    )
    assert kept.stat().st_mtime_ns == before
    assert lost.exists()
    assert told == [(1, 3), (2, 3), (3, 3)]
    for one, other in zip(whole, again, strict=True):
        for name, value in one.last.items():
            assert torch.equal(value, other.last[name])
            assert torch.equal(one.states[1][name], other.states[1][name])
