"""Models that run as clients train them, untouched by chance and by other guesses."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from attack_views import LR, digits, draw, seeded, update_view
from torch import nn

from seepage.attacks.inversion.observed import observed_gradient
from seepage.attacks.inversion.optimized.search.batch_statistics import (
    BatchStatistics,
    Source,
    StatisticsDistance,
    statistics_of,
)
from seepage.attacks.inversion.optimized.search.matching import cosine_match
from seepage.attacks.inversion.optimized.search.victim import Victim, flat

X, _ = digits()


def conv(*before_last: nn.Module, outputs: int = 10) -> nn.Module:
    layers = (nn.Conv2d(1, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten(), *before_last)
    return seeded(lambda: nn.Sequential(*layers, nn.Linear(576, outputs)))


def test_the_distance_of_statistics_draws_nothing_and_leaves_the_model() -> None:
    model = nn.Sequential(nn.Dropout(0.5), conv())
    x = X[draw(0, 4)]
    known = BatchStatistics({"1.1": statistics_of(model[1][0](x).detach())}, Source.BATCH)
    before = torch.get_rng_state()
    distance = float(StatisticsDistance(model, known)(x).detach())
    assert torch.equal(torch.get_rng_state(), before)
    assert distance < 1e-10
    assert float(model[1][1].running_mean.abs().max()) == 0


def test_restarts_of_a_large_convolution_may_have_targets_that_are_no_classes() -> None:
    model = seeded(
        lambda: nn.Sequential(
            nn.Conv2d(1, 64, 5, padding=2), nn.Sigmoid(), nn.Flatten(), nn.Linear(65536, 1)
        )
    )
    drawn = torch.Generator().manual_seed(0)
    x, y = torch.rand(2, 1, 32, 32, generator=drawn), torch.tensor([[0.25], [-1.5]])
    slopes = torch.autograd.grad(F.mse_loss(model(x), y), model.parameters())
    update = {n: -LR * g for (n, _), g in zip(model.named_parameters(), slopes, strict=True)}
    view = replace(update_view(model, update, input_shape=(1, 32, 32), classes=0), loss=F.mse_loss)
    observed = observed_gradient(view)
    match = cosine_match(flat(observed), (), mask_aware=True)
    guesses = torch.stack([x, x.flip(0)])
    distances, _, _ = Victim(view, observed).slope(guesses, y[None].expand(2, -1, -1), match)
    assert float(distances[0]) < 1e-5 < 1e-3 < float(distances[1])  # the first by rounding alone
