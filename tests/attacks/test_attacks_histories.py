from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from attack_federations import (
    CLIENTS,
    HELD,
    RNG,
    Federation,
    auc,
    history,
    job,
    locally_trained,
    mlp,
    slow_cosines,
)
from torch import Tensor, nn

from seepage.attacks.membership.fedmia import FedMIA
from seepage.attacks.membership.gradient_cosine import GradientCosine
from seepage.attacks.membership.gradient_dots import gradient_dots
from seepage.core.errors import NotApplicableError, UsageError
from seepage.core.threat import Observer
from seepage.core.views import (
    AggregateHistoryView,
    BatchSize,
    Candidates,
    GlobalModelsView,
    HistoryView,
    SeenAggregate,
    SeenRound,
)


def test_gradient_dots_equal_a_loop_over_candidates(federations):
    fed = federations[0]
    candidates, _ = fed.candidates(1)
    for seen in fed.rounds[:3]:
        found = gradient_dots(fed.model, nn.CrossEntropyLoss(), candidates, seen)
        model = mlp(0)
        model.load_state_dict(dict(seen.state))
        for i in range(0, len(candidates.targets), 7):
            loss = F.cross_entropy(
                model(candidates.inputs[i : i + 1]), candidates.targets[i : i + 1]
            )
            gradient = torch.autograd.grad(loss, list(model.parameters()))
            flat = torch.cat([g.flatten() for g in gradient])
            assert torch.isclose(found.gradient_norms[i], flat.norm(), rtol=1e-4)
            for k, client in enumerate(found.clients):
                update = torch.cat([u.flatten() for u in seen.updates[client].values()])
                scale = flat.norm() * update.norm()
                assert torch.isclose(found.update_norms[k], update.norm(), rtol=1e-4)
                assert abs(found.dots[i, k] - flat @ update) < 1e-4 * scale


def slow_confidences(fed, seen, candidates):
    """Minus the loss of each record under each client's local model, `[n, k]`."""
    columns: list[torch.Tensor] = []
    for client in sorted(seen.updates):
        local = deepcopy(fed.model)
        sent = {n: v + seen.updates[client][n] for n, v in seen.state.items()}
        local.load_state_dict(sent)
        with torch.no_grad():
            outputs = local.eval()(candidates.inputs)
        columns.append(-F.cross_entropy(outputs, candidates.targets, reduction="none"))
    return torch.stack(columns, 1)


@pytest.mark.parametrize(("score", "slow"), [("cosine", slow_cosines), ("loss", slow_confidences)])
def test_fedmia_equals_a_slow_implementation(federations, score, slow):
    fed = federations[0]
    view, _ = history(fed, 1, 1, fed.rounds[:4])
    total = torch.zeros(HELD + 100, dtype=torch.float64)
    for seen in view.rounds:
        agreement = slow(fed, seen, fed.candidates(1)[0])
        for i, row in enumerate(agreement.tolist()):
            others = [row[0], *row[2:]]
            mean = sum(others) / len(others)
            variance = sum((o - mean) ** 2 for o in others) / (len(others) - 1)
            total[i] += (row[1] - mean) / variance**0.5
    found = FedMIA(score=score, pooling=0.0)(view, RNG).scores
    assert torch.allclose(found.double(), total / 4, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("attack", [FedMIA(), FedMIA(score="loss"), GradientCosine()])
def test_histories_tell_the_target_clients_records(federations, attack):
    found, other = [], []
    for fed in federations:
        for client in range(3):
            view, member = history(fed, client, client)
            found.append(auc(attack(view, RNG).scores, member))
            null, _ = history(fed, client, (client + 1) % CLIENTS)
            other.append(auc(attack(null, RNG).scores, member))
    assert sum(found) / len(found) > 0.8
    assert abs(sum(other) / len(other) - 0.5) < 0.1


def test_pooling_the_variance_helps_where_there_are_few_clients(federations):
    rates = {0.0: 0.0, 4.0: 0.0}
    for fed in federations:
        few = tuple(
            SeenRound(r.round, r.state, {k: r.updates[k] for k in range(3)}) for r in fed.rounds
        )
        view, member = history(fed, 0, 0, few)
        for pooling in rates:
            rates[pooling] += auc(FedMIA(pooling=pooling)(view, RNG).scores, member) / 4
    assert rates[4.0] > rates[0.0]


@pytest.mark.parametrize("attack", [FedMIA(), GradientCosine()])
def test_rounds_without_the_target_are_skipped(federations, attack):
    fed = federations[0]
    part = [k for k in range(CLIENTS) if k != 2]
    without = SeenRound(9, fed.rounds[0].state, {k: fed.rounds[0].updates[k] for k in part})
    view, _ = history(fed, 2, 2)
    more, _ = history(fed, 2, 2, (without, *fed.rounds))
    assert torch.equal(attack(view, RNG).scores, attack(more, RNG).scores)
    with pytest.raises(NotApplicableError, match="client 2"):
        attack(history(fed, 2, 2, (without,))[0], RNG)


def test_fedmia_needs_two_other_clients(federations):
    fed = federations[0]
    rounds = tuple(
        SeenRound(r.round, r.state, {k: r.updates[k] for k in (0, 1)}) for r in fed.rounds
    )
    with pytest.raises(NotApplicableError, match="two others"):
        FedMIA()(history(fed, 0, 0, rounds)[0], RNG)


def test_batch_norm_is_evaluated_with_its_running_statistics():
    model = mlp(0, 32, batch_norm=True).train()
    x, y = torch.rand(9, 64), torch.arange(9)
    state = {n: v.detach().clone() for n, v in model.state_dict().items() if v.is_floating_point()}
    state["1.running_mean"] += 0.3
    update = {n: torch.randn_like(v) for n, v in state.items()}
    before = {n: v.clone() for n, v in model.state_dict().items()}
    candidates = Candidates(inputs=x, targets=y)
    found = gradient_dots(model, F.cross_entropy, candidates, SeenRound(0, state, {5: update}))
    assert model.training
    assert all(torch.equal(before[n], v) for n, v in model.state_dict().items())
    model.load_state_dict(state, strict=False)
    model.eval()
    for i in range(9):
        loss = F.cross_entropy(model(x[i : i + 1]), y[i : i + 1])
        gradient = torch.autograd.grad(loss, list(model.parameters()))
        dot = sum(
            (g * update[n]).sum()
            for (n, _), g in zip(model.named_parameters(), gradient, strict=True)
        )
        assert torch.isclose(found.dots[i, 0], dot, rtol=1e-3, atol=1e-4)


def test_a_still_gradient_or_update_has_cosine_zero():
    model = mlp(0)
    state = dict(model.named_parameters())
    still = {n: torch.zeros_like(p) for n, p in state.items()}
    candidates = Candidates(inputs=torch.rand(3, 64), targets=torch.arange(3))
    found = gradient_dots(model, F.cross_entropy, candidates, SeenRound(0, state, {0: still}))
    assert found.cosines().tolist() == [[0.0]] * 3


def summed(fed: Federation) -> tuple[AggregateHistoryView, GlobalModelsView, Tensor]:
    """What is seen of a federation through secure sums, and by a participant; who is a member."""
    inputs = torch.cat([s[0] for s in fed.shards] + [fed.outsiders[0]])
    targets = torch.cat([s[1] for s in fed.shards] + [fed.outsiders[1]])
    facts = (Candidates(inputs=inputs, targets=targets), BatchSize(HELD))
    common = {"job": job(), "loss": nn.CrossEntropyLoss(), "facts": facts, "model": fed.model}
    means = tuple(
        SeenAggregate(
            r.round,
            r.state,
            {n: sum(u[n] for u in r.updates.values()) / CLIENTS for n in r.state},
        )
        for r in fed.rounds
    )
    server = AggregateHistoryView(observer=Observer.HONEST_SERVER, rounds=means, **common)
    states = tuple((r.round, r.state) for r in fed.rounds)
    peer = GlobalModelsView(observer=Observer.PEER_CLIENT, rounds=states, **common)
    return server, peer, torch.arange(len(targets)) < CLIENTS * HELD


@pytest.mark.parametrize("score", ["cosine", "difference"])
def test_a_sum_over_clients_tells_members_to_servers_and_peers(federations, score):
    found, null = [], []
    for i, fed in enumerate(federations):
        for view in summed(fed)[:2]:
            member = summed(fed)[2]
            found.append(auc(GradientCosine(score=score)(view, RNG).scores, member))
            other = summed(federations[i - 1])[view.observer is Observer.PEER_CLIENT]
            strange = replace(other, facts=view.facts)
            null.append(auc(GradientCosine(score=score)(strange, RNG).scores, member))
    assert min(found) > 0.6
    assert abs(sum(null) / len(null) - 0.5) < 0.1


def test_the_peer_sees_the_server_s_sums_in_consecutive_models(federations):
    server, peer, _ = summed(federations[0])
    fewer = replace(server, rounds=server.rounds[:-1])
    assert torch.allclose(
        GradientCosine()(fewer, RNG).scores, GradientCosine()(peer, RNG).scores, atol=1e-5
    )
    with pytest.raises(NotApplicableError, match="no change"):
        GradientCosine()(replace(peer, rounds=peer.rounds[:1]), RNG)


def test_the_difference_is_what_a_record_takes_away_of_the_summed_gradient():
    """||G||^2 - ||G - g||^2 of a batch whose gradients are known one by one."""
    x, y = torch.rand(6, 64), torch.arange(6)
    model = mlp(2)
    state = {n: p.detach().clone() for n, p in model.named_parameters()}
    each = []
    for i in range(6):
        loss = F.cross_entropy(model(x[i : i + 1]), y[i : i + 1])
        each.append(
            torch.cat([g.flatten() for g in torch.autograd.grad(loss, [*model.parameters()])])
        )
    update = locally_trained(mlp(2), state, x[:4], y[:4], 1)
    view = HistoryView(
        observer=Observer.HONEST_SERVER,
        job=job(),
        loss=nn.CrossEntropyLoss(),
        facts=(Candidates(inputs=x, targets=y), BatchSize(4)),
        client=0,
        model=model,
        rounds=(SeenRound(0, state, {0: update}),),
    )
    total = sum(each[:4])
    expected = [float(total.square().sum() - (total - g).square().sum()) for g in each]
    scores = GradientCosine(score="difference")(view, RNG).scores
    assert torch.allclose(scores, torch.tensor(expected), rtol=1e-3, atol=1e-4)
    unknown = replace(view, facts=view.facts[:1])
    with pytest.raises(NotApplicableError, match="batch size"):
        GradientCosine(score="difference")(unknown, RNG)
    with pytest.raises(UsageError, match="did you mean 'cosine'"):
        GradientCosine(score="cosines")
