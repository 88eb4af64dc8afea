"""Whether a record is in a sum of many: against dense covariances and an undefended federation."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from attack_views import known
from torch import Tensor, nn

from reproducible import rng
from seepage.attacks.api import attack_view
from seepage.attacks.membership import round_products
from seepage.attacks.membership.batch_mates import Spectrum, draws
from seepage.core.claims import MembershipScores
from seepage.core.defense import LocalStep
from seepage.core.views import BatchSize, Candidates, HistoryView, SeenRound
from seepage.defenses.dp.records.dp_ftrl import DPFTRL
from seepage.defenses.dp.records.dp_sgd import DPSGD

LR = 0.5


def test_the_products_are_those_under_the_covariance_of_noise_and_all_others():
    each = torch.randn(5, 12, generator=rng(1), dtype=torch.float64)
    x = torch.randn(12, generator=rng(2), dtype=torch.float64)
    noise, variance = 0.7, 0.2
    inner, square = Spectrum.of(each @ each.T).allowing_for_others(
        each @ x, noise_power=noise, variance=variance
    )
    for i, mine in enumerate(each):
        others = torch.cat([each[:i], each[i + 1 :]])
        hidden = noise * torch.eye(12, dtype=torch.float64) + variance * others.T @ others
        torch.testing.assert_close(inner[i], mine @ torch.linalg.solve(hidden, x))
        torch.testing.assert_close(square[i], mine @ torch.linalg.solve(hidden, mine))


def test_draws_have_the_mean_and_variance_of_a_member_or_not():
    order = rng(3)
    member = torch.rand(200_000, generator=order) < 0.4
    drawn = (torch.rand(200_000, 3, generator=order) < 0.3).sum(1) * member
    mean, variance = draws(0.3, 3, 0.4)
    assert float(drawn.double().mean()) == pytest.approx(mean, abs=0.01)
    assert float(drawn.double().var()) == pytest.approx(variance, abs=0.02)


def test_what_the_records_leave_unexplained_is_the_noise():
    each = torch.randn(5, 400, generator=rng(4), dtype=torch.float64)
    spectrum = Spectrum.of(each @ each.T)
    x = 3.0 * torch.randn(400, generator=rng(5), dtype=torch.float64) + 7 * each.sum(0)
    inner, power = each @ x, float(x @ x)
    assert spectrum.noise_power(inner, power, 400, known=False) == pytest.approx(9.0, rel=0.2)
    assert spectrum.noise_power(inner, power, 400, known=True) > 7
    quiet = torch.randn(400, generator=rng(6), dtype=torch.float64) + 7 * each.sum(0)
    assert spectrum.noise_power(each @ quiet, float(quiet @ quiet), 400, known=True) == 1


def job(n: int, width: int) -> tuple[nn.Module, Candidates]:
    order = rng(n)
    model = nn.Sequential(nn.Linear(8, width), nn.ReLU(), nn.Linear(width, 3))
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(0.4 * torch.randn(p.shape, generator=order))
    x = torch.randn(n, 8, generator=order)
    return model, Candidates(x, torch.randint(3, (n,), generator=order))


def scores(model: nn.Module, asked: Candidates, batch: list[int], defense: Any = None) -> Tensor:
    """What the attack makes of one update on these candidates."""
    x, y = asked.inputs[batch], asked.targets[batch]
    state = {n: v.detach() for n, v in model.state_dict().items()}
    if defense is None:
        gradient = torch.autograd.grad(F.cross_entropy(model(x), y), list(model.parameters()))
        update = {n: -LR * g for (n, _), g in zip(model.named_parameters(), gradient, strict=True)}
    else:
        step = LocalStep(
            model=model, loss=F.cross_entropy, inputs=x, targets=y, expected_batch=len(batch)
        )
        update = {n: -LR * g for n, g in defense.gradient(step, rng(9)).items()}
    view = HistoryView(
        client=0,
        model=model,
        rounds=(SeenRound(0, state, {0: update}),),
        **known(asked, BatchSize(len(batch)), defenses=(defense.card,) if defense else (), lr=LR),
    )
    claim = attack_view("candidate-test", view, rng())
    assert isinstance(claim, MembershipScores)
    return claim.scores


@pytest.mark.parametrize(
    "defense",
    [
        None,
        DPSGD(noise_multiplier=0.01, max_grad_norm=0.5),
        DPFTRL(noise_multiplier=0.01, max_grad_norm=0.5),
    ],
)
def test_next_to_no_noise_every_record_of_a_batch_is_read_off(defense: Any):
    model, asked = job(24, 16)
    batch = [1, 4, 7, 11, 17, 20]
    found = scores(model, asked, batch, defense)
    assert sorted(found.topk(len(batch)).indices.tolist()) == batch


def test_without_room_for_the_gram_matrix_others_are_taken_for_even_noise(
    monkeypatch: pytest.MonkeyPatch,
):
    model, asked = job(24, 16)
    with_mates = scores(model, asked, [3, 5])
    monkeypatch.setattr(round_products, "MOST_BYTES", 0)
    round_products.forget()
    even = scores(model, asked, [3, 5])
    round_products.forget()
    others = [i for i in range(24) if i not in (3, 5)]
    lead, even_lead = (float(s[[3, 5]].min() - s[others].max()) for s in (with_mates, even))
    assert lead > max(even_lead, 0)
