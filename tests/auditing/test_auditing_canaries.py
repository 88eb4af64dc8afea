"""Canaries refute an epsilon that is false, and one that is true hardly ever."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

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
from seepage.core.threat import Observer
from seepage.defenses.api import DPSGD, CentralDP, LocalDP
from seepage.fl.canaries import plant
from seepage.fl.canary_clients import plant_clients, projections
from seepage.fl.engine import train

if TYPE_CHECKING:
    from seepage.core.views import Update

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


def audit(defense: DPSGD | LocalDP | CentralDP, **changes: object) -> CanaryAudit:
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


class SilentNoise(LocalDP):
    """Clips updates, and says of itself that it adds noise."""

    def protect_update(self, update: Update, rng: torch.Generator) -> Update:
        """Return the clipped update as it is."""
        return replace_noise(self, 0.0).protect_update(update, rng)


class HalfNoise(CentralDP):
    """Adds a tenth of the noise that its record says."""

    def protect_aggregate(
        self, aggregate: Update, contributors: int, rng: torch.Generator
    ) -> Update:
        """Return the mean with too little noise."""
        return CentralDP(noise_multiplier=self.noise_multiplier / 10).protect_aggregate(
            aggregate, contributors, rng
        )


def replace_noise(defense: LocalDP, noise: float) -> LocalDP:
    """Return a LocalDP with other noise."""
    return LocalDP(noise_multiplier=noise, max_norm=defense.max_norm)


CLIENT_LEVEL = {"kind": "direction", "count": 240}


@pytest.mark.parametrize(
    ("broken", "sound", "observer"),
    [
        (SilentNoise(noise_multiplier=40.0), LocalDP(noise_multiplier=40.0), "honest-server"),
        (HalfNoise(noise_multiplier=20.0), CentralDP(noise_multiplier=20.0), "peer-client"),
    ],
)
def test_clients_that_send_a_direction_test_what_is_claimed_of_clients(
    broken: LocalDP | CentralDP, sound: LocalDP | CentralDP, observer: str
) -> None:
    (found,) = audit(broken, observer=observer, **CLIENT_LEVEL).run()
    assert (found.unit, found.attack, found.canaries) == ("client", "projection", 240)
    assert found.refuted
    (found,) = audit(sound, observer=observer, **CLIENT_LEVEL).run()
    assert not found.refuted
    assert 0 < found.power < found.claimed < found.most
    assert audit(sound, observer="honest-server", kind="mislabelled").run() == ()


def test_projections_on_directions_are_those_of_theory() -> None:
    """After T releases u + N(0, (zC)^2) of C d or -C d: means +-T C, deviation sqrt(T) z C."""
    defense, rounds = LocalDP(noise_multiplier=2.0), TASK.training.rounds
    task, canaries = plant_clients(
        TASK, 150, torch.Generator().manual_seed(2), length=1.0, opposite=True
    )
    seen = train(task, defenses=(defense,), seed=3, record=range(rounds), sends=canaries.sends)
    found = projections(seen, Observer.HONEST_SERVER, canaries)
    sign = torch.where(canaries.inside, 1.0, -1.0)
    centered = found - sign * rounds
    assert abs(float(centered.mean())) < 4 * 2 * (rounds / 150) ** 0.5
    assert float(centered.std()) == pytest.approx(2 * rounds**0.5, rel=0.2)
    assert 50 < int(canaries.inside.sum()) < 100


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
