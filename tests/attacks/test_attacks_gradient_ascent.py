"""A model that has forgotten one record: what it sends, and what comes back of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from attack_views import aggregate_view, auxiliary, digits, known, mlp, rng, update_of, update_view
from torch import Tensor, nn

from seepage.attacks.membership.candidate_losses import candidate_losses
from seepage.attacks.membership.gradient_ascent import GradientAscent
from seepage.core.errors import UsageError
from seepage.core.threat import Observer
from seepage.core.views import Candidates, ServerKnowledge

X, Y = digits()


def told(model: nn.Module, *facts: Any, **changes: Any) -> ServerKnowledge:
    """What the server knows before a round of clients 0 and 1."""
    common = known(*facts, observer=Observer.MALICIOUS_SERVER, **changes)
    return ServerKnowledge(round=0, model=model, cohort=(0, 1), **common)


def loss_of(model: nn.Module, x: Tensor, y: Tensor) -> float:
    return float(F.cross_entropy(model(x), y).detach())


@pytest.mark.parametrize("steps", [1, 4])
def test_the_share_of_a_member_is_that_of_gradient_descent_and_of_another_none(steps: int):
    """Records along axes of their own: one step on n of them scales a residual by 1 - 2 lr / n."""
    n, lr = 4, 0.3
    records, targets = torch.eye(8), torch.arange(8.0)[:, None]
    model, loss = nn.Linear(8, 1, bias=False), nn.MSELoss()
    attack = GradientAscent(rise=2.0)
    for record in (1, 6):  # the client trains on the first four
        asked = Candidates(records[record : record + 1], targets[record : record + 1])
        move = attack.act(replace(told(model, asked), loss=loss), rng())
        assert move.models[0] is move.models[1]
        sent = move.models[1]
        local = nn.Linear(8, 1, bias=False)
        local.load_state_dict(sent.state_dict())
        for _ in range(steps):
            value = loss(local(records[:n]), targets[:n])
            (slope,) = torch.autograd.grad(value, [local.weight])
            with torch.no_grad():
                local.weight -= lr * slope
        update = {"weight": (local.weight - sent.get_parameter("weight")).detach()}
        view = update_view(sent, update, asked, classes=0, input_shape=(8,), lr=lr)
        scores = attack(replace(view, loss=loss), rng()).scores
        expected = 1 - (1 - 2 * lr / n) ** (2 * steps) if record < n else 0.0
        assert float(scores[0]) == pytest.approx(expected, abs=1e-5)


def test_the_record_is_forgotten_and_the_others_are_not():
    model = mlp(32)
    for _ in range(300):
        slopes = torch.autograd.grad(
            F.cross_entropy(model(X[:800]), Y[:800]), [*model.parameters()]
        )
        with torch.no_grad():
            for p, g in zip(model.parameters(), slopes, strict=True):
                p -= 0.5 * g
    others = X[800:1300], Y[800:1300]
    fit = loss_of(model, *others)
    costs: list[float] = []
    for i in range(4):
        x, y = X[i : i + 1], Y[i : i + 1]
        asked, before = Candidates(x, y), loss_of(model, x, y)
        for facts in ((asked, auxiliary()), (asked,)):
            sent = GradientAscent(rise=3.0).act(told(model, *facts), rng()).models[0]
            assert sent.training
            assert loss_of(sent, x, y) == pytest.approx(before + 3, abs=0.3)
            costs.append(loss_of(sent, *others) - fit)
        assert loss_of(model, x, y) == before
    retained, forgotten = sum(costs[::2]), sum(costs[1::2])
    assert retained < 0.3 < 3 * retained < forgotten  # a rise of 12 in all, to little cost


def test_scores_are_shares_of_the_loss_under_the_sent_model_of_an_update_or_a_sum():
    model = mlp(32)
    updates = [update_of(model, (X[i : i + 4], Y[i : i + 4])) for i in (0, 40)]
    asked = Candidates(X[:60], Y[:60])
    mean = {name: (updates[0][name] + updates[1][name]) / 2 for name in updates[0]}
    for view, seen in (
        (update_view(model, updates[0], asked), updates[0]),
        (aggregate_view(model, updates, asked), mean),
    ):
        trained = {n: p.detach() + seen[n] for n, p in model.named_parameters()}
        after = candidate_losses(model, F.cross_entropy, asked, trained)
        expected = 1 - after / candidate_losses(model, F.cross_entropy, asked)
        assert torch.allclose(GradientAscent()(view, rng()).scores, expected, atol=1e-6)


def test_where_clients_refuse_a_sum_nobody_is_accused():
    view = aggregate_view(mlp(8), [{}], Candidates(X[:3], Y[:3]))
    claim = GradientAscent()(view, rng())
    assert not bool(claim.scores.any())
    assert "refused" in claim.note


def test_settings_that_raise_nothing_are_refused():
    refused: list[dict[str, Any]] = [
        {"rise": 0.0},
        {"step_size": -1.0},
        {"retain": -0.1},
        {"steps": 0},
    ]
    for settings in refused:
        with pytest.raises(UsageError, match="gradient-ascent"):
            GradientAscent(**settings)
