from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from attack_views import (
    defense_card,
    digits,
    draw,
    gradient_of,
    lenet,
    mlp,
    rng,
    seeded,
    top_k,
    update_view,
    view_of,
)
from torch import Tensor, nn

from seepage.attacks.inversion.observed import observed_gradient
from seepage.attacks.inversion.optimized.search.matching import (
    GaussianMatch,
    SquaredMatch,
    cosine_match,
)
from seepage.attacks.inversion.optimized.search.starts import starts
from seepage.attacks.inversion.optimized.search.victim import Victim, flat
from seepage.core.views import BatchSize
from seepage.models.resnet import ResNet20

X, Y = digits()


class Branching(nn.Module):
    """A model that can't be traced: it asks for a value of its input."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = mlp(16, nn.Tanh)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x) if x.sum() > 0 else -self.layers(x)


def pooled() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), nn.GroupNorm(3, 6), nn.GELU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, stride=2, dilation=2, padding=2, bias=False), nn.BatchNorm2d(8),
        nn.SiLU(), nn.AvgPool2d(2), nn.Dropout(), nn.Flatten(), nn.Linear(8, 10),
    )  # fmt: skip


def frozen_statistics() -> nn.Module:
    norms = nn.BatchNorm1d(12), nn.BatchNorm1d(12).eval()
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 12), norms[0], nn.Tanh(), nn.Linear(12, 12), norms[1],
        nn.Softplus(), nn.Linear(12, 10),
    )  # fmt: skip
    norms[1].running_mean.uniform_(-1, 1)
    norms[1].running_var.uniform_(0.5, 2)
    return model


def wide() -> nn.Module:
    return ResNet20()((1, 16, 16), 10)


SMOOTHED = nn.CrossEntropyLoss(label_smoothing=0.1)


@pytest.mark.parametrize(
    ("build", "size", "loss"),
    [
        (lambda: mlp(24, nn.Sigmoid), 8, F.cross_entropy),
        (lambda: mlp(24, bias=False), 8, SMOOTHED),
        (lenet, 8, F.cross_entropy),
        (lambda: lenet(nn.Sigmoid), 8, SMOOTHED),
        (pooled, 8, F.cross_entropy),
        (frozen_statistics, 8, F.cross_entropy),
        (wide, 16, F.cross_entropy),
        (Branching, 8, F.cross_entropy),
    ],
)
def test_slopes_in_closed_form_are_those_of_double_backward(build, size, loss):
    model = seeded(build).double()
    x = F.interpolate(X[:3].double(), (size, size))
    guesses = torch.stack([x, x.flip(0), torch.rand(x.shape, generator=rng()).double()])
    y = Y[:3]
    view = update_view(model, {}, BatchSize(3), input_shape=(1, size, size))
    view = replace(view, loss=loss)
    observed = gradient_of(model, x.flip(3), y, loss)
    deviations = {name: 1.0 + i for i, name in enumerate(observed)}
    victim = Victim(view, observed)
    assert victim.closed_form == (build is not Branching)
    one_by_one = torch.stack([victim.gradient(g, y).detach() for g in guesses])
    torch.testing.assert_close(victim.gradients(guesses, y), one_by_one, rtol=1e-7, atol=1e-10)
    for aim in (
        cosine_match(flat(observed), (), mask_aware=True),
        cosine_match(flat(top_k(observed, 0.3)), (defense_card("top-k"),), mask_aware=True),
        GaussianMatch.of(observed, deviations),
        SquaredMatch(flat(observed)),
    ):
        distances, slopes, soft = victim.slope(guesses, y, aim)
        assert soft is None
        for i, guess in enumerate(guesses):
            at = guess.clone().requires_grad_()
            gradient = victim.gradient(at, y)
            expected, direction = aim.aim(gradient.detach()[None])
            (slope,) = torch.autograd.grad(gradient, at, direction[0])
            torch.testing.assert_close(distances[i], expected[0], rtol=1e-6, atol=1e-9)
            torch.testing.assert_close(slopes[i], slope, rtol=1e-5, atol=1e-9)


def test_slopes_at_soft_labels_are_those_of_double_backward():
    model = lenet(nn.Sigmoid).double()
    index = draw(0, 2)
    view = update_view(model, {}, BatchSize(2))
    observed = gradient_of(model, X[index].double(), Y[index])
    victim, match = Victim(view, observed), SquaredMatch(flat(observed))
    x = torch.rand(2, 1, 8, 8, generator=rng()).double()
    y = torch.rand(2, 10, generator=rng()).double().softmax(1).requires_grad_()
    distance, direction = match.aim(victim.gradient(x, y).detach()[None])
    (expected,) = torch.autograd.grad(victim.gradient(x, y), y, direction[0])
    distances, _, slopes = victim.slope(x[None], y.detach()[None], match)
    torch.testing.assert_close(distances, distance)
    torch.testing.assert_close(slopes[0], expected)


@pytest.mark.parametrize("build", [lambda: mlp(32), lenet, Branching])
def test_restarts_together_find_what_each_finds_alone(build):
    index = draw(0, 2)
    view = view_of(seeded(build), index)
    observed = observed_gradient(view)
    victim, match = Victim(view, observed), cosine_match(flat(observed), (), mask_aware=True)
    guesses = starts(3, (2, 1, 8, 8), (0.0, 1.0), rng())
    together, slopes, _ = victim.slope(guesses, Y[index], match)
    for i in range(3):
        alone, slope, _ = victim.slope(guesses[i : i + 1], Y[index], match)
        torch.testing.assert_close(together[i], alone[0], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(slopes[i], slope[0], rtol=1e-4, atol=1e-7)
    assert float((guesses[0] - 0.5).abs().max()) < 0.1
    assert float((guesses[1] - guesses[2]).abs().mean()) > 0.05
