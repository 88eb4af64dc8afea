"""Rounds in which the server departs from the protocol, and the commitment against it."""

from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from fl_jobs import Plain, job, mlp
from torch import nn

from seepage.core.attack import ServerMove
from seepage.core.defense import Receipt
from seepage.core.errors import UsageError
from seepage.core.threat import Observer
from seepage.defenses import DistributedDP, ModelCommitment, SecureAggregation
from seepage.defenses.model_commitment import model_digest
from seepage.fl.engine import train
from seepage.fl.malicious import malicious_round
from seepage.fl.vantage import model_at
from seepage.fl.views import aggregate_views, update_views

SERVER = Observer.MALICIOUS_SERVER


def run(server, *defenses, **training):
    transcript = train(job(**training), defenses=defenses, seed=3, record=[1])
    return malicious_round(transcript, SERVER, 1, server), transcript


def tripled(knowledge, clients=None):
    model = deepcopy(knowledge.model)
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(3)
    return ServerMove(models=dict.fromkeys(clients or knowledge.cohort, model))


def test_a_client_answers_with_the_gradient_of_the_model_that_it_got():
    found, _ = run(lambda k: tripled(k, (2,)), rounds=2, batch_size=4)
    honest = found.states[1]
    for view, truth in update_views(found, SERVER, [1]):
        scale = 3.0 if view.client == 2 else 1.0
        for name, value in view.model.named_parameters():
            assert torch.equal(value.detach(), honest[name] * scale)
        loss = F.cross_entropy(view.model(truth.inputs), truth.targets)
        slopes = torch.autograd.grad(loss, list(view.model.parameters()))
        for (name, _), slope in zip(view.model.named_parameters(), slopes, strict=True):
            torch.testing.assert_close(view.update[name], -view.job.lr * slope)


def test_the_job_goes_on_as_if_nothing_had_happened():
    found, before = run(tripled, rounds=3, batch_size=4)
    assert found.states[1] is before.states[1]
    assert found.model is before.model
    assert set(found.rounds) == {1}


def test_the_server_knows_no_secret_and_may_choose_the_cohort():
    seen = []

    def server(knowledge):
        seen.append(knowledge)
        return ServerMove(models={}, cohort=(1, 3))

    found, _ = run(server, rounds=2, batch_size=4)
    assert set(found.rounds[1].released) == {1, 3}
    assert seen[0].cohort == (0, 1, 2, 3)
    with pytest.raises(UsageError, match="client 9"):
        run(lambda k: ServerMove(models={}, cohort=(9,)), rounds=2)


def test_another_architecture_may_be_sent():
    def server(knowledge):
        wide = mlp(48)
        return ServerMove(models=dict.fromkeys(knowledge.cohort, wide))

    found, _ = run(server, SecureAggregation(), rounds=2, batch_size=4)
    ((view, truth),) = aggregate_views(found, SERVER, [1])
    assert view.model[1].weight.shape == view.aggregate["1.weight"].shape == (48, 64)
    assert len(truth.inputs) == 16


def test_differing_models_add_up_unless_clients_commit_to_what_they_got():
    def server(knowledge):
        return tripled(knowledge, (2,))

    plain, _ = run(server, SecureAggregation(), rounds=2, batch_size=4)
    ((view, _),) = aggregate_views(plain, SERVER, [1])
    assert set(view.sent) == {2}
    assert view.aggregate
    bound, _ = run(server, SecureAggregation(), ModelCommitment(), rounds=2, batch_size=4)
    assert "2 different models" in bound.rounds[1].aborted
    ((view, truth),) = aggregate_views(bound, SERVER, [1])
    assert not view.aggregate
    assert len(truth.inputs) == 16
    # What all clients get alike is no inconsistency.
    same, _ = run(tripled, SecureAggregation(), ModelCommitment(), rounds=2, batch_size=4)
    assert same.rounds[1].aborted == ""


def test_an_honest_job_runs_under_the_commitment_unchanged():
    task = job(rounds=2, batch_size=4)
    plain, bound = (
        train(task, defenses=d, seed=3, record=[1])
        for d in ([SecureAggregation()], [SecureAggregation(), ModelCommitment()])
    )
    for name, value in plain.model.state_dict().items():
        assert torch.equal(value, bound.model.state_dict()[name])


@pytest.mark.parametrize(
    "change",
    [
        lambda m: (m[1].bias.data[0].add_(1e-6), m)[1],
        lambda m: nn.Sequential(*m, nn.Identity()),
        lambda m: m.double(),
    ],
)
def test_any_change_changes_the_digest(change):
    model = mlp()
    digest = model_digest(model, (0, 1), 3)
    assert digest == model_digest(deepcopy(model), (0, 1), 3)
    assert digest != model_digest(change(deepcopy(model)), (0, 1), 3)
    assert digest != model_digest(model, (0, 1, 2), 3)
    assert digest != model_digest(model, (0, 1), 4)
    receipt = Receipt(model=model, roster=(0, 1), round=3)
    assert ModelCommitment().commitment(receipt) == digest


class Adder(Plain):
    """Forms the sum itself, and keeps what it was given."""

    adds_up = True
    hides = SecureAggregation.hides

    def __init__(self):
        self.given = []

    def add_up(self, updates, commitments, rng):
        self.given += zip(updates, commitments, strict=True)
        return {name: sum(u[name] for u in updates) for name in updates[0]}


def surrounded(knowledge):
    return ServerMove(models={}, cohort=(2,), sybils=3)


def test_clients_of_the_servers_own_leave_one_update_in_the_sum_that_no_defense_misses():
    alone, _ = run(lambda k: ServerMove(models={}, cohort=(2,)), SecureAggregation(), rounds=2)
    assert "1 client" in alone.rounds[1].aborted
    adder = Adder()
    for sums in (SecureAggregation(minimum_cohort=4), adder):
        found, _ = run(surrounded, sums, ModelCommitment(), rounds=2, batch_size=4)
        assert not found.rounds[1].aborted
        ((view, truth),) = aggregate_views(found, SERVER, [1])
        assert (view.contributors, view.cohort, view.sybils) == (4, (2,), 3)
        assert torch.equal(truth.rows, found.rounds[1].batches[2].rows)
        update = found.rounds[1].released[2]
        for name, value in view.aggregate.items():
            assert torch.equal(4 * value, update[name])  # exact: 4 is a power of 2
    # The sum was formed over four updates that commit to one model and to one roster of four.
    honest = model_at(found, found.rounds[1].state, training=True)
    (committed,) = {commitment for _, commitment in adder.given[-4:]}
    assert committed == model_digest(honest, (2, 4, 5, 6), 1)
    with pytest.raises(UsageError, match="-1 clients of its own"):
        run(lambda k: ServerMove(models={}, sybils=-1), rounds=2)


def test_the_servers_own_clients_leave_their_share_of_distributed_noise_out():
    shape = {"rounds": 2, "batch_size": 4}
    defense = DistributedDP(noise_multiplier=0.5, max_norm=50.0, threshold=4)
    errors = {}
    for cohort, sybils in (((2,), 3), ((0, 1, 2, 3), 0)):

        def server(_, cohort=cohort, sybils=sybils):
            return ServerMove(models={}, cohort=cohort, sybils=sybils)

        sums = [run(server, d, **shape)[0].rounds[1] for d in (defense, SecureAggregation())]
        noisy, exact = (r.aggregate for r in sums)
        errors[sybils] = torch.cat([(4 * (noisy[n] - exact[n])).flatten() for n in exact]).std()
    # Rounding to the grid adds next to nothing to noise that is hundreds of its steps wide.
    one = defense.deviation * defense.granularity * defense.max_norm
    count = 64 * 16 + 16 + 160 + 10
    for sybils, expected in ((3, one), (0, 2 * one)):
        # Four standard errors of a standard deviation over so many coordinates.
        assert abs(float(errors[sybils]) / expected - 1) < 4 / (2 * count) ** 0.5
