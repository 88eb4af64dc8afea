"""Records that are protected once, before a client trains, whoever the server is."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
import torch
from fl_jobs import Plain, gap, job

from seepage.core.attack import ServerMove
from seepage.core.errors import RefusedError
from seepage.core.task import Records
from seepage.core.threat import Observer
from seepage.defenses.api import DistributedDP, RandomizedResponse
from seepage.fl.engine import train
from seepage.fl.malicious import malicious_round
from seepage.fl.records import trained_on
from seepage.fl.views import aggregate_views, update_views


@dataclass(frozen=True, kw_only=True)
class Shift(Plain):
    """Adds one number a client to its inputs, and notes whom it met."""

    met: list[int] = field(default_factory=list)

    def protect_records(self, records: Records, rng: torch.Generator) -> Records:
        self.met.append(int(records.rows[0]))
        return replace(records, inputs=records.inputs + torch.rand((), generator=rng))


@dataclass(frozen=True, kw_only=True)
class Other(Plain):
    """Gives other records back."""

    how: str = ""

    def protect_records(self, records: Records, rng: torch.Generator) -> Records:
        if self.how == "fewer":
            return records.take(torch.arange(3))
        if self.how == "shuffled":
            return records.take(torch.arange(len(records)).flip(0))
        return replace(records, targets=records.targets[:-1])


def test_clients_train_on_protected_records_and_the_truth_stays() -> None:
    task, defense = job(clients=3, rounds=4, batch_size=5), Shift()
    seen = trained_on(task, [defense], seed=3, replica=1)
    pairs = list(zip(seen.clients, task.clients, strict=True))
    moved = [a.train.inputs - b.train.inputs for a, b in pairs]
    shifts = [float(m.mean()) for m in moved]
    assert len({round(s, 3) for s in shifts}) == 3
    assert all(float(m.std()) < 1e-6 for m in moved)
    assert all(a.holdout is b.holdout for a, b in pairs)
    # The same as a plain job on the records that the defense made.
    defense.met.clear()
    defended = train(task, defenses=[defense], seed=3, replica=1, record=[3])
    assert defense.met == [0, 100, 200]
    plain = train(seen, seed=3, replica=1, record=[3])
    assert gap(defended.rounds[3].aggregate, plain.rounds[3].aggregate) < 1e-6
    for client, batch in defended.rounds[3].batches.items():
        held = task.clients[client].train
        assert torch.equal(batch.inputs, held.inputs[batch.rows - 100 * client])
    other = trained_on(task, [defense], seed=3, replica=2)
    assert not torch.equal(other.clients[0].train.inputs, seen.clients[0].train.inputs)
    assert trained_on(task, [Plain()], seed=3, replica=1) is task


def test_a_malicious_round_meets_the_same_protected_records() -> None:
    class Remember(Shift):
        def gradient(self, step, rng):
            inputs.append(step.inputs)

    inputs: list[torch.Tensor] = []
    task, defense = job(clients=2, rounds=2, batch_size=0), Remember()
    history = train(task, defenses=[defense], seed=0, record=[1])
    honest = inputs[:2]
    inputs.clear()
    again = malicious_round(history, Observer.MALICIOUS_SERVER, 1, lambda _: ServerMove(models={}))
    assert all(torch.equal(a, b) for a, b in zip(honest, inputs, strict=True))
    for client, batch in again.rounds[1].batches.items():
        assert torch.equal(batch.inputs, task.clients[client].train.inputs)


@pytest.mark.parametrize("how", ["fewer", "shuffled", "fewer targets"])
def test_other_records_are_refused(how: str) -> None:
    with pytest.raises(RefusedError, match="not the rows that it holds"):
        train(job(rounds=1), defenses=[Other(how=how)], seed=0)


def test_randomized_labels_reach_the_model_and_continuous_inputs_are_refused() -> None:
    task = job(clients=2, rounds=1, batch_size=0)
    labels = RandomizedResponse(epsilon=0.0, classes=10)
    first, plain = (train(task, defenses=d, seed=0, record=[0]) for d in ([labels], []))
    assert gap(first.rounds[0].aggregate, plain.rounds[0].aggregate) > 0.1
    ((_, truth), *_) = update_views(first, Observer.HONEST_SERVER, [0])
    assert torch.equal(truth.targets, task.clients[0].train.targets)
    columns = RandomizedResponse(classes=0, categories=(2,) * 64)
    with pytest.raises(RefusedError, match="continuous"):
        train(task, defenses=[columns], seed=0)


def test_distributed_noise_in_a_job_hides_updates_and_keeps_the_models_type() -> None:
    task = job(clients=4, rounds=2)
    defense = DistributedDP(noise_multiplier=1e-5, max_norm=5.0, threshold=3, granularity=2.0**-20)
    summed = train(task, defenses=[defense], seed=0, record=[0, 1])
    plain = train(task, seed=0, record=[0, 1])
    for number in (0, 1):
        aggregate = summed.rounds[number].aggregate
        assert gap(aggregate, plain.rounds[number].aggregate) < 0.05
        assert {value.dtype for value in aggregate.values()} == {torch.float32}
        assert {value.dtype for value in summed.rounds[number].state.values()} == {torch.float32}
    for observer in (Observer.HONEST_SERVER, Observer.MALICIOUS_SERVER, Observer.EAVESDROPPER):
        assert update_views(summed, observer, [0]) == []
        assert len(aggregate_views(summed, observer, [0])) == 1
    with pytest.raises(RefusedError, match="fewer than the threshold"):
        train(job(clients=2, rounds=1), defenses=[defense], seed=0)
    # A server that calls too few clients gets no sum.
    alone = malicious_round(
        summed, Observer.MALICIOUS_SERVER, 1, lambda _: ServerMove(models={}, cohort=(0, 1))
    )
    assert "fewer than the threshold of 3" in alone.rounds[1].aborted
    assert not alone.rounds[1].aggregate
