import time

import pytest
import torch
import torch.nn.functional as F
from fl_jobs import as_double, cnn, gap, job, mlp
from torch import nn

from seepage.core.errors import DataError, ModelError, UsageError
from seepage.core.seeds import torch_rng
from seepage.core.task import ClientData, Records
from seepage.fl.engine import train
from seepage.fl.state import parts, shared_state


def _parameters(model):
    return {n: p.detach() for n, p in model.named_parameters()}


def test_fedsgd_of_all_clients_is_gradient_descent_on_all_records():
    task = job(batch_size=0, rounds=20, lr=0.2)
    trained = train(task, seed=1).model
    central = task.build(torch_rng(1, "model", 0))
    x = torch.cat([c.train.inputs for c in task.clients])
    y = torch.cat([c.train.targets for c in task.clients])
    optimizer = torch.optim.SGD(central.parameters(), lr=0.2)
    for _ in range(20):
        optimizer.zero_grad()
        F.cross_entropy(central(x), y).backward()
        optimizer.step()
    assert gap(_parameters(trained), _parameters(central)) < 1e-5


def _by_hand(task, state, batches, steps):
    """One round of FedAvg with full batches, client after client, by torch's own SGD."""
    updates = {}
    for client, batch in batches.items():
        model = task.build(torch_rng(0, "model", 0)).train()
        model.load_state_dict({**model.state_dict(), **state})
        optimizer = torch.optim.SGD(model.parameters(), lr=task.training.lr)
        for _ in range(steps):
            optimizer.zero_grad()
            task.loss(model(batch.inputs), batch.targets).backward()
            optimizer.step()
        updates[client] = {n: v - state[n] for n, v in shared_state(model).items()}
    return updates


@pytest.mark.parametrize("batched", [False, True])
def test_fedavg_is_the_loop_by_hand(batched):
    task = as_double(job(batch_size=0, local_steps=3, rounds=2, cohort=3))
    transcript = train(task, seed=3, record=[0, 1], batched=batched)
    for record in transcript.rounds.values():
        assert len(record.released) == 3
        expected = _by_hand(task, record.state, record.batches, 3)
        for client, update in expected.items():
            assert gap(record.released[client], update) < 1e-9
        mean = {n: sum(u[n] for u in expected.values()) / 3 for n in record.state}
        assert gap(record.aggregate, mean) < 1e-9
    moved = {n: v + transcript.rounds[0].aggregate[n] for n, v in transcript.states[0].items()}
    assert gap(moved, transcript.states[1]) == 0.0


def test_one_step_sends_exactly_minus_lr_times_the_gradient():
    task = job(lr=1e-6)
    record = train(task, seed=0, record=[1], batched=False).rounds[1]
    model = task.build(torch_rng(0, "model", 0))
    model.load_state_dict(record.state)
    batch = record.batches[2]
    assert len(batch) == 4
    loss = F.cross_entropy(model(batch.inputs), batch.targets)
    for (name, _), g in zip(
        model.named_parameters(), torch.autograd.grad(loss, list(model.parameters())), strict=True
    ):
        assert torch.equal(record.released[2][name], g * -1e-6)


@pytest.mark.parametrize("make", [mlp, cnn])
@pytest.mark.parametrize("steps", [1, 3])
def test_batched_gives_the_same_numbers_as_one_by_one(make, steps):
    task = job(make, clients=8, rounds=6, local_steps=steps)
    batched = train(task, seed=2, record=[0, 5], batched=True)
    single = train(task, seed=2, record=[0, 5], batched=False)
    for client, update in batched.rounds[0].released.items():
        if steps == 1:
            assert gap(update, single.rounds[0].released[client]) < 1e-6
        assert torch.equal(
            batched.rounds[0].batches[client].rows, single.rounds[0].batches[client].rows
        )
    task = as_double(task)
    batched = train(task, seed=2, record=[5], batched=True).rounds[5]
    single = train(task, seed=2, record=[5], batched=False).rounds[5]
    assert all(gap(batched.released[c], single.released[c]) < 1e-9 for c in single.released)


def test_code_that_branches_on_data_falls_back_to_one_by_one():
    class Branching(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = mlp()

        def forward(self, x):
            return self.body(x if x.sum() > 0 else -x)

    task = job(Branching, clients=8)
    forced = train(task, seed=0, batched=True)
    assert gap(shared_state(forced.model), shared_state(train(task, seed=0).model)) == 0.0


def _everything(transcript):
    for record in transcript.rounds.values():
        yield from record.state.values()
        yield from record.aggregate.values()
        for client in record.released:
            yield from record.released[client].values()
            yield record.batches[client].rows
    yield from transcript.model.state_dict().values()


def _same(a, b):
    pairs = list(zip(_everything(a), _everything(b), strict=True))
    return all(x.shape == y.shape and torch.equal(x, y) for x, y in pairs)


def test_a_seed_says_everything_and_replicas_differ():
    task = job(lambda: mlp(last=nn.Dropout(0.5)), cohort=3)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = train(task, seed=4, record=range(3))
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(2)
    assert _same(first, train(task, seed=4, record=range(3)))
    replica = train(task, seed=4, replica=1, record=range(3))
    other = train(task, seed=5, record=range(3))
    for changed in (replica, other):
        assert not torch.equal(first.states[0]["1.weight"], changed.states[0]["1.weight"])
        assert [list(r.released) for r in first.rounds.values()] != [
            list(r.released) for r in changed.rounds.values()
        ]


def test_dropout_differs_by_client_and_round():
    task = job(lambda: mlp(64, last=nn.Dropout(0.5)), batch_size=1, n=1, clients=2, rounds=2)
    twin = Records(
        inputs=task.clients[0].train.inputs,
        targets=task.clients[0].train.targets,
        rows=torch.tensor([100]),
    )
    from dataclasses import replace

    clients = (task.clients[0], ClientData(name="b", train=twin, holdout=twin))
    record = train(replace(task, clients=clients), seed=0, record=[0]).rounds[0]
    assert gap(record.released[0], record.released[1]) > 0.01


def test_batch_norm_statistics_are_in_the_update_and_counters_stay_local():
    task = job(lambda: mlp(last=nn.BatchNorm1d(16)), rounds=2)
    transcript = train(task, seed=0, record=[0, 1])
    record = transcript.rounds[0]
    own = parts(task.build(torch_rng(0, "model", 0)))
    assert set(record.released[0]) == set(own.parameters) | {"3.running_mean", "3.running_var"}
    body = task.build(torch_rng(0, "model", 0))[:3]
    seen = body(record.batches[1].inputs).mean(0).detach()
    # running = 0.9 * running + 0.1 * batch, and running starts at 0
    assert torch.allclose(record.released[1]["3.running_mean"], 0.1 * seen, atol=1e-6)
    mean = sum(u["3.running_mean"] for u in record.released.values()) / 4
    assert torch.allclose(transcript.states[1]["3.running_mean"], mean, atol=1e-7)
    assert transcript.model[3].num_batches_tracked == 0
    assert not transcript.model.training


def test_a_clients_counters_go_on_from_round_to_round():
    def make():
        return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64, momentum=None), nn.Linear(64, 10))

    task = job(make, clients=1, rounds=3)
    model = train(task, seed=0).model
    # A cumulative average over one epoch is the mean of all records.
    assert torch.allclose(
        model[1].running_mean, task.clients[0].train.inputs.flatten(1).mean(0), atol=1e-6
    )


def test_frozen_parameters_are_not_sent():
    def make():
        model = mlp()
        model[1].requires_grad_(False)
        return model

    task = job(make, clients=8, n=12)
    for batched in (False, True):
        transcript = train(task, seed=0, record=[0], batched=batched)
        assert set(transcript.rounds[0].released[0]) == {"3.weight", "3.bias"}
        assert transcript.bytes_down == 3 * 8 * 4 * (16 * 10 + 10)
        fresh = task.build(torch_rng(0, "model", 0))
        assert torch.equal(transcript.model[1].weight, fresh[1].weight)


@pytest.mark.parametrize("batched", [False, True])
def test_divergence_names_round_client_and_cure(batched):
    task = job(rounds=50, lr=1e30)
    with pytest.raises(
        UsageError, match=r"diverged in round \d+: .*client 0.*lower lr \(now 1e\+30"
    ):
        train(task, seed=0, batched=batched)


def test_what_does_not_fit_is_said_before_the_first_round():
    with pytest.raises(ModelError, match=r"records of shape \[1, 8, 8\]"):
        train(job(lambda: nn.Linear(3, 3)), seed=0)
    with pytest.raises(ModelError, match="one number"):
        train(job(loss=lambda o, t: F.cross_entropy(o, t, reduction="none")), seed=0)
    with pytest.raises(ModelError, match="no trainable parameters"):
        train(job(nn.Flatten), seed=0)
    with pytest.raises(DataError, match="clinic-0"):
        train(job(n=0), seed=0)
    with pytest.raises(ModelError, match=r"clinic-0.* batch of 1"):
        train(job(lambda: mlp(last=nn.BatchNorm1d(16)), batch_size=1), seed=0)
    with pytest.raises(UsageError, match="can't record round 3: rounds are 0 to 2"):
        train(job(), seed=0, record=[3])


def test_every_round_is_told_and_bytes_are_counted():
    seen = []
    transcript = train(job(cohort=2), seed=0, on_round=seen.append)
    floats = 64 * 16 + 16 + 16 * 10 + 10
    assert seen == [0, 1, 2]
    assert transcript.bytes_down == transcript.bytes_up == 3 * 2 * 4 * floats
    assert not transcript.rounds
    assert not transcript.states


def test_forty_rounds_of_eight_clients_are_quick():
    task = job(lambda: mlp(512), clients=8, n=100, rounds=40)
    started = time.perf_counter()
    train(task, seed=0)
    assert time.perf_counter() - started < 2.0
