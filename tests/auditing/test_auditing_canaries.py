"""Canaries refute an epsilon that is false, and one that is true hardly ever."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from seepage.auditing.canary_audit import CanaryAudit
from seepage.auditing.cells import Job
from seepage.auditing.exposure import exposure
from seepage.auditing.verdict import overall
from seepage.core.defense import LocalStep
from seepage.core.errors import UsageError
from seepage.core.plan import CanaryPlan
from seepage.core.task import ClientData, Records, Task, Training
from seepage.defenses.api import DPSGD, LocalDP
from seepage.fl.canaries import plant

WIDTH = 20


class NoiseForgotten(DPSGD):
    """Clips, and says of itself that it adds noise."""

    def gradient(self, step: LocalStep, rng: torch.Generator) -> dict[str, torch.Tensor]:
        """Return the clipped mean as it is."""
        bare = DPSGD(noise_multiplier=0.0, max_grad_norm=self.max_grad_norm)
        return dict(bare.gradient(step, rng))


def records(n: int, first: int) -> Records:
    """Two classes in 20 dimensions."""
    rng = torch.Generator().manual_seed(first)
    targets = torch.randint(0, 2, (n,), generator=rng)
    inputs = torch.randn(n, WIDTH, generator=rng) + targets[:, None]
    return Records(inputs=inputs, targets=targets, rows=torch.arange(first, first + n))


def build(rng: torch.Generator) -> nn.Module:
    """Return an MLP under the generator's seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(rng.initial_seed())
        return nn.Sequential(nn.Linear(WIDTH, 48), nn.ReLU(), nn.Linear(48, 2))


TASK = Task(
    name="job",
    build=build,
    loss=F.cross_entropy,
    clients=tuple(
        ClientData(name=str(c), train=records(60, 1000 * c), holdout=records(9, 1000 * c + 500))
        for c in range(2)
    ),
    auxiliary=records(300, 9000),
    training=Training(rounds=40, batch_size=20, lr=0.2),
    classes=2,
)


def audit(defense: DPSGD | LocalDP, **changes: object) -> CanaryAudit:
    """Return the audit of a job under a defense, with 240 canaries."""
    plan = CanaryPlan(**{"count": 240, **changes})
    return CanaryAudit(job=Job(task=TASK, defenses=(defense,)), plan=plan, seed=1, delta=1e-5)


@pytest.fixture(scope="module")
def calibrated() -> float:
    """The noise multiplier that makes the planted job's total epsilon about 1.5."""
    task, _ = plant(TASK, 240, torch.Generator().manual_seed(0))
    low, high = 0.5, 20.0
    for _ in range(8):
        middle = (low + high) / 2
        (record,) = DPSGD(noise_multiplier=middle).privacy(exposure(Job(task=task), 1e-5))
        low, high = (middle, high) if record.total_epsilon > 1.5 else (low, middle)
    return high


def test_noise_that_was_forgotten_is_refuted_with_240_canaries(calibrated: float) -> None:
    (found,) = audit(NoiseForgotten(noise_multiplier=calibrated)).run()
    assert found.claimed == pytest.approx(1.5, abs=0.2)
    assert found.refuted
    assert found.epsilon > 3
    verdict, reason = overall((), (), (found,))
    assert verdict == "leak"
    assert "canaries refute the claimed epsilon" in reason


def test_true_noise_is_not_refuted_and_says_what_could_have_been_shown(calibrated: float) -> None:
    (found,) = audit(DPSGD(noise_multiplier=calibrated)).run()
    assert not found.refuted
    assert found.epsilon <= found.claimed
    assert 0 < found.power < found.claimed < found.most
    assert found.planted not in {0, found.canaries}


def test_the_coins_of_canaries_are_fair_and_nothing_else_moves() -> None:
    task, canaries = plant(TASK, 240, torch.Generator().manual_seed(3))
    assert canaries.count == 240
    inside = torch.cat([canaries.inside[c] for c in (0, 1)])
    assert 90 < int(inside.sum()) < 150
    for c, client in enumerate(task.clients):
        planted = canaries.records[c].take(torch.nonzero(canaries.inside[c]).flatten())
        assert torch.equal(client.train.rows[:60], TASK.clients[c].train.rows)
        assert torch.equal(client.train.rows[60:], planted.rows)
        assert client.holdout is TASK.clients[c].holdout
    rows = torch.cat([r.rows for r in canaries.records.values()])
    assert len(set(rows.tolist()) | set(task.auxiliary.rows.tolist())) == 300
    true = {
        int(r): int(t) for r, t in zip(TASK.auxiliary.rows, TASK.auxiliary.targets, strict=True)
    }
    for found in canaries.records.values():
        assert all(true[int(r)] != int(t) for r, t in zip(found.rows, found.targets, strict=True))


def test_crafted_canaries_stand_out_among_gradients() -> None:
    """|<g, g_i>| of other records falls, at a gradient as long as the clipping norm."""
    (plain, _), (made, _) = (
        plant(TASK, 100, torch.Generator().manual_seed(5), kind=kind)
        for kind in ("mislabelled", "crafted")
    )
    model = TASK.build(torch.Generator().manual_seed(5))  # as they were crafted at

    def slopes(found: Records) -> torch.Tensor:
        """Return clipped gradients, one record after the other."""
        rows: list[torch.Tensor] = []
        for x, y in zip(found.inputs, found.targets, strict=True):
            loss = F.cross_entropy(model(x[None]), y[None])
            g = torch.cat(
                [p.flatten() for p in torch.autograd.grad(loss, list(model.parameters()))]
            )
            rows.append(g / g.norm().clamp_min(1))
        return torch.stack(rows)

    others = slopes(TASK.auxiliary.take(torch.arange(100)))
    seen = [
        float((slopes(t.clients[0].train.take(torch.arange(60, 80))) @ others.T).abs().mean())
        for t in (plain, made)
    ]
    assert seen[1] < 0.8 * seen[0]


def test_what_can_t_be_tested_is_said() -> None:
    assert audit(LocalDP(noise_multiplier=1.0, max_norm=1.0)).run() == ()  # no record-level claim
    with pytest.raises(UsageError, match="can't be made of 300 auxiliary records"):
        audit(DPSGD(), count=300).run()
    with pytest.raises(UsageError, match="kind is 'crafty'; did you mean 'crafted'"):
        audit(DPSGD(), kind="crafty")
    with pytest.raises(UsageError, match="labels of two classes"):
        plant(replace(TASK, classes=0), 100, torch.Generator())
