"""Shadow federations are what the job was, on other records and seeds."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from seepage.auditing.simulating import Workshop, dealt, simulation
from seepage.core.task import ClientData, Records, Task, Training
from seepage.core.views import AuxiliaryData
from seepage.defenses.api import LocalDP
from seepage.fl.engine import train


def records(n: int, first: int, seed: int) -> Records:
    """Two classes that a linear model tells apart."""
    rng = torch.Generator().manual_seed(seed)
    targets = torch.randint(0, 2, (n,), generator=rng)
    inputs = torch.randn(n, 4, generator=rng) + 2 * targets[:, None]
    return Records(inputs=inputs, targets=targets, rows=torch.arange(first, first + n))


def build(rng: torch.Generator) -> nn.Module:
    """Return a linear model under the generator's seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(rng.initial_seed())
        return nn.Linear(4, 2)


TASK = Task(
    name="job",
    build=build,
    loss=F.cross_entropy,
    clients=tuple(
        ClientData(name=str(c), train=records(20, 100 * c, c), holdout=records(5, 100 * c + 50, 9))
        for c in range(3)
    ),
    auxiliary=records(40, 1000, 7),
    training=Training(rounds=30, batch_size=10, lr=0.5),
    classes=2,
)
POOL = AuxiliaryData(*(getattr(records(80, 0, 5), f) for f in ("inputs", "targets")))


def test_a_shadow_learns_what_the_job_learns_from_another_seed() -> None:
    run = train(TASK, seed=0)
    shadows = simulation(run, Workshop())
    assert shadows.records == 60
    parts = [torch.arange(60), torch.arange(20, 80)]
    one, two = shadows.train(POOL, parts, (0, 29), 4)
    for found in (one, two):
        right = (found.model(POOL.inputs).argmax(1) == POOL.targets).float().mean()
        assert right > 0.9
        assert len(found.states) == 2
        assert not torch.equal(found.states[0]["weight"], found.states[1]["weight"])
    starts = [train(TASK, seed=0, record={0}).states[0]["weight"], one.states[0]["weight"]]
    assert not torch.equal(*starts)  # the job's own seed is not known to who simulates
    assert torch.equal(shadows.train(POOL, parts, (0, 29), 4)[1].states[1]["weight"],
                       two.states[1]["weight"])  # fmt: skip


def test_a_shadow_is_defended_as_the_job_is() -> None:
    """Noise that drowns every update drowns a shadow's as well."""
    noisy = train(TASK, defenses=(LocalDP(noise_multiplier=100.0, max_norm=1.0),), seed=0)
    (found,) = simulation(noisy, Workshop()).train(POOL, [torch.arange(60)], (), 4)
    assert float(found.model.state_dict()["weight"].norm()) > 50


def test_records_are_dealt_out_in_proportion_and_none_twice() -> None:
    rng = torch.Generator().manual_seed(0)
    parts = dealt(torch.arange(30), [10, 50, 1], rng)
    assert sorted(torch.cat(parts).tolist()) == list(range(30))
    assert [len(p) for p in parts] == [5, 24, 1]
    assert [len(p) for p in dealt(torch.arange(4), [10, 50, 1], rng)] == [1, 2, 1]
    assert [len(p) for p in dealt(torch.arange(61), [10, 50, 1], rng)] == [10, 50, 1]
    with pytest.raises(ValueError, match="can't be dealt out to 3"):
        dealt(torch.arange(2), [1, 1, 1], rng)
