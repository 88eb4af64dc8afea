"""Rounds in which the server departs from the protocol, and the commitment against it."""

from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from fl_jobs import job, mlp
from torch import nn

from seepage.core.attack import ServerMove
from seepage.core.defense import Receipt
from seepage.core.errors import UsageError
from seepage.core.threat import Observer
from seepage.defenses import ModelCommitment, SecureAggregation
from seepage.defenses.model_commitment import model_digest
from seepage.fl.engine import train
from seepage.fl.malicious import malicious_round
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
