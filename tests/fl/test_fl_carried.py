"""What defenses carry from step to step of a client, and the number of the step."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import torch
from fl_jobs import Plain, job
from torch import Tensor

from seepage.core.attack import ServerMove
from seepage.core.defense import LocalStep
from seepage.core.threat import Observer
from seepage.defenses.dp.records.dp_sgd import DPSGD
from seepage.fl.engine import train
from seepage.fl.malicious import malicious_round


@dataclass(frozen=True, kw_only=True)
class Counting(Plain):
    """Releases nothing but zeros, and notes the number and the carried count of each step."""

    seen: list[tuple[int, int]] = field(default_factory=list)

    def gradient(self, step: LocalStep, rng: torch.Generator) -> dict[str, Tensor]:
        count = int(step.carried.get("count", torch.tensor(0)))
        self.seen.append((step.number, count))
        step.carried["count"] = torch.tensor(count + 1)
        return {name: torch.zeros_like(p) for name, p in step.model.named_parameters()}


def test_each_client_has_its_own_count_and_steps_are_those_of_the_job() -> None:
    defense = Counting()
    task = job(clients=3, rounds=4, local_steps=2, batch_size=3)
    history = train(task, defenses=[defense], seed=0, record=[2])
    steps = [(2 * round_ + step, 2 * round_ + step) for round_ in range(4) for step in range(2)]
    assert sorted(defense.seen) == sorted(steps * 3)
    # The record has what was carried into the round, and another job begins anew.
    assert {int(c["count"]) for c in history.rounds[2].carried.values()} == {4}
    defense.seen.clear()
    train(task, defenses=[defense], seed=0)
    assert sorted(defense.seen) == sorted(steps * 3)


def test_who_misses_rounds_keeps_its_count_and_meets_the_jobs_number() -> None:
    defense = Counting()
    train(job(clients=4, rounds=6, cohort=1, batch_size=3), defenses=[defense], seed=0)
    assert [number for number, _ in defense.seen] == list(range(6))
    assert sum(count == 0 for _, count in defense.seen) < 5
    assert max(count for _, count in defense.seen) < 5


def test_a_malicious_round_goes_on_from_what_was_carried() -> None:
    defense = Counting()
    history = train(
        job(clients=3, rounds=4, local_steps=2, batch_size=3),
        defenses=[defense],
        seed=0,
        record=[2],
    )
    defense.seen.clear()
    malicious_round(
        history, Observer.MALICIOUS_SERVER, 2, lambda _: ServerMove(models={}, cohort=None)
    )
    assert sorted(defense.seen) == [(4, 4), (4, 4), (4, 4), (5, 5), (5, 5), (5, 5)]
    assert {int(c["count"]) for c in history.rounds[2].carried.values()} == {4}


def test_the_adaptive_norm_lives_as_long_as_the_job() -> None:
    defense = DPSGD(noise_multiplier=0.5, clipping="adaptive", max_grad_norm=100.0, count_noise=1.0)
    task = job(clients=2, rounds=30, batch_size=6)
    history = train(task, defenses=[defense], seed=0, record=[0, 29])
    assert history.rounds[0].carried == {}
    norms = [float(c["dp-sgd.clipping-norm"]) for c in history.rounds[29].carried.values()]
    assert len(norms) == 2
    assert max(norms) < 60.0
    assert norms[0] != norms[1]
    again = train(task, defenses=[defense], seed=0, record=[29])
    torch.testing.assert_close(again.rounds[29].aggregate, history.rounds[29].aggregate)
    assert norms == pytest.approx(
        [float(c["dp-sgd.clipping-norm"]) for c in again.rounds[29].carried.values()]
    )
