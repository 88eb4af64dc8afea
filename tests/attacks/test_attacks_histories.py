from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from attack_federations import CLIENTS, HELD, RNG, auc, history, mlp, slow_cosines
from torch import nn

from seepage.attacks.membership.fedmia import FedMIA
from seepage.attacks.membership.gradient_cosine import GradientCosine
from seepage.attacks.membership.gradient_dots import gradient_dots
from seepage.core.errors import NotApplicableError
from seepage.core.views import (
    Candidates,
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


def test_fedmia_equals_a_slow_implementation(federations):
    fed = federations[0]
    view, _ = history(fed, 1, 1, fed.rounds[:4])
    total = torch.zeros(HELD + 100, dtype=torch.float64)
    for seen in view.rounds:
        cosines = slow_cosines(fed, seen, fed.candidates(1)[0])
        for i, row in enumerate(cosines.tolist()):
            others = [row[0], *row[2:]]
            mean = sum(others) / len(others)
            variance = sum((o - mean) ** 2 for o in others) / (len(others) - 1)
            total[i] += (row[1] - mean) / variance**0.5
    found = FedMIA(pooling=0.0)(view, RNG).scores
    assert torch.allclose(found.double(), total / 4, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("attack", [FedMIA(), GradientCosine()])
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
