"""One batch from the updates of several rounds."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from attack_views import digits, draw, known, lenet, noisy, rng, update_of
from torch import nn

from seepage.attacks.inversion.observed import observed_gradient
from seepage.attacks.inversion.optimized.inverting_gradients import InvertingGradients
from seepage.attacks.inversion.optimized.search.matching import SquaredMatch
from seepage.attacks.inversion.optimized.search.victim import flat
from seepage.attacks.inversion.optimized.several_rounds import (
    JointGradient,
    SeveralRounds,
    updates_of,
)
from seepage.core.errors import NotApplicableError
from seepage.core.views import BatchSize, HistoryView, SeenRound
from seepage.metrics.reconstruction import psnr

X, Y = digits()
STEPS = 120


def history(index: torch.Tensor, rounds: int, noise: float) -> HistoryView:
    """Rounds in which the same client trains on the same records, others move the model."""
    model, seen = lenet(nn.Sigmoid), []
    for t in range(rounds):
        update = noisy(update_of(model, (X[index], Y[index])), noise, seed=100 + t)
        state = {n: p.detach().clone() for n, p in model.named_parameters()}
        seen.append(SeenRound(round=t, state=state, updates={3: update}))
        others = noisy(state, 0.02, seed=t)
        model.load_state_dict(others)
    facts = known(BatchSize(len(index)))
    return HistoryView(client=3, model=model, rounds=tuple(seen), **facts)


def test_the_slope_is_that_of_the_mean_gradients_distance() -> None:
    index = draw(0, 2)
    views = updates_of(history(index, 3, 0.0), 3)
    gradients = [observed_gradient(view) for view in views]
    goal = torch.stack([flat(g) for g in gradients]).mean(0)
    x = torch.rand(2, 2, 1, 8, 8, generator=rng())
    distances, slopes, _ = JointGradient(views, gradients).slope(x, Y[index], SquaredMatch(goal))
    for i in range(2):
        guess = x[i].clone().requires_grad_()
        made = []
        for view in views:
            parts = torch.autograd.grad(
                view.loss(view.model(guess), Y[index]),
                list(view.model.parameters()),
                create_graph=True,
            )
            made.append(torch.cat([part.flatten() for part in parts]))
        value = (torch.stack(made).mean(0) - goal).square().sum() / goal.square().sum()
        torch.testing.assert_close(distances[i], value.detach(), rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(
            slopes[i], torch.autograd.grad(value, guess)[0], rtol=1e-3, atol=1e-6
        )


def test_noise_that_hides_records_in_one_round_does_not_in_sixteen() -> None:
    found: dict[int, list[float]] = {1: [], 16: []}
    for seed in range(4):
        index = draw(seed, 1)
        view = history(index, 16, 6e-3)
        alone = InvertingGradients(steps=STEPS)(updates_of(view, 1)[0], rng(seed))
        together = SeveralRounds(steps=STEPS)(view, rng(seed))
        for rounds, claim in ((1, alone), (16, together)):
            found[rounds].append(float(psnr(claim.inputs, X[index]).mean()))
    gains = [b - a for a, b in zip(found[1], found[16], strict=True)]
    assert min(gains) > 3


def test_a_client_that_took_no_part_is_refused() -> None:
    view = history(draw(0, 1), 3, 0.0)
    with pytest.raises(NotApplicableError, match="took part in none"):
        SeveralRounds()(replace(view, client=4), torch.Generator())
