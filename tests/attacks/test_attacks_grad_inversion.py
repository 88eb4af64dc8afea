"""Batch statistics from the buffers of an update, and the inversion that uses them."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from attack_scores import hit_rate
from attack_views import (
    LR,
    aggregate_view,
    auxiliary,
    digits,
    draw,
    mlp,
    rng,
    update_of,
    update_view,
)
from torch import Tensor, nn

from seepage.attacks.inversion.optimized.grad_inversion import GradInversion
from seepage.attacks.inversion.optimized.search.batch_statistics import (
    Source,
    StatisticsDistance,
    batch_statistics,
)
from seepage.attacks.inversion.optimized.search.registration import consensus
from seepage.core.errors import NotApplicableError, UsageError
from seepage.core.views import BatchSize, Labels, UpdateView
from seepage.metrics.reconstruction import psnr
from seepage.models.api import build

X, Y = digits()


@cache
def trained(steps: int = 60) -> nn.Module:
    settings = {"norm": "batch", "width": 8}
    model = build("convnet", settings, input_shape=(1, 8, 8), classes=10, rng=rng())
    optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    for step in range(steps):
        index = 1000 + torch.randperm(300, generator=rng(step))[:32]
        optimizer.zero_grad()
        F.cross_entropy(model(X[index]), Y[index]).backward()
        optimizer.step()
    return model


def sent(model: nn.Module, *batches: Tensor, lr: float = LR) -> dict[str, Tensor]:
    """The whole update after a step on each batch: parameters and running statistics."""
    local = deepcopy(model)
    optimizer = torch.optim.SGD(local.parameters(), lr)
    for index in batches:
        optimizer.zero_grad()
        F.cross_entropy(local(X[index]), Y[index]).backward()
        optimizer.step()
    old, new = model.state_dict(), local.state_dict()
    return {n: new[n] - old[n] for n in new if new[n].is_floating_point()}


def view_of(model: nn.Module, index: Tensor, *facts: Any) -> UpdateView:
    return update_view(model, sent(model, index), BatchSize(len(index)), auxiliary(), *facts)


def true_statistics(model: nn.Module, index: Tensor) -> dict[str, tuple[Any, Any]]:
    """Mean and unbiased variance by numpy of what enters each normalization."""
    found: dict[str, tuple[Any, Any]] = {}
    local = deepcopy(model)
    for name, module in local.named_modules():
        if isinstance(module, nn.BatchNorm2d):

            def keep(_: nn.Module, args: tuple[Tensor], name: str = name) -> None:
                rows = args[0].detach().double().movedim(1, 0).flatten(1).numpy()
                found[name] = (np.mean(rows, axis=1), np.var(rows, axis=1, ddof=1))

            module.register_forward_pre_hook(keep)
    local(X[index])
    return found


def close(found: tuple[Tensor, Tensor], expected: tuple[Any, Any], rtol: float = 1e-3) -> bool:
    return all(
        np.allclose(f.numpy(), e, rtol=rtol, atol=rtol * float(np.abs(e).max()))
        for f, e in zip(found, expected, strict=True)
    )


@pytest.mark.parametrize("momentum", [0.1, 0.37])
@pytest.mark.parametrize("size", [1, 5])
def test_buffers_give_the_batchs_statistics_away(size: int, momentum: float) -> None:
    model = deepcopy(trained())
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = momentum
    index = draw(3, size)
    found = batch_statistics(view_of(model, index))
    assert found is not None
    assert found.source is Source.BATCH
    expected = true_statistics(model, index)
    assert found.layers.keys() == expected.keys()
    assert len(expected) == 3
    assert all(close(found.layers[name], expected[name], 1e-4) for name in expected)
    other = true_statistics(model, draw(4, size))
    assert not any(close(found.layers[name], other[name]) for name in expected)


def test_several_steps_and_clients_give_averages() -> None:
    model, first, last = trained(), draw(0, 4), draw(1, 4)
    # Without moving weights both steps see one network: weights .9 * .1 and .1 of .19.
    update = sent(model, first, last, lr=0.0)
    view = update_view(model, update, BatchSize(4), local_steps=2)
    one, two = true_statistics(model, first), true_statistics(model, last)
    found = batch_statistics(view)
    assert found is not None
    assert found.source is Source.AVERAGE
    for name, layer in found.layers.items():
        expected = [(9 * a + 10 * b) / 19 for a, b in zip(one[name], two[name], strict=True)]
        assert close(layer, (expected[0], expected[1]))
    found = batch_statistics(aggregate_view(model, [sent(model, first), sent(model, last)]))
    assert found is not None
    assert found.source is Source.AVERAGE
    for name, layer in found.layers.items():
        expected = [(a + b) / 2 for a, b in zip(one[name], two[name], strict=True)]
        assert close(layer, (expected[0], expected[1]))


def test_what_stands_in_where_buffers_do_not_travel() -> None:
    model, index = trained(), draw(0, 2)
    bare = update_of(model, (X[index], Y[index]))
    found = batch_statistics(update_view(model, bare, BatchSize(2)))
    assert found is not None
    assert found.source is Source.RUNNING
    assert torch.equal(found.layers["1"][0], model[1].running_mean)
    fresh = build("convnet", {}, input_shape=(1, 8, 8), classes=10, rng=rng())
    assert batch_statistics(update_view(fresh, update_of(fresh, (X[:2], Y[:2])))) is None
    assert batch_statistics(update_view(mlp(8), update_of(mlp(8), (X[:2], Y[:2])))) is None
    # Noise that leaves no positive variance: that channel falls back, the others do not.
    noisy = sent(model, index)
    noisy["1.running_var"][3] = -99.0
    found = batch_statistics(update_view(model, noisy))
    assert found is not None
    assert found.layers["1"][1][3] == model[1].running_var[3]
    assert found.layers["1"][1][2] != model[1].running_var[2]


def test_the_distance_is_zero_at_the_batch_and_its_slope_is_right() -> None:
    model, index = trained(), draw(5, 3)
    known = batch_statistics(view_of(model, index))
    assert known is not None
    distance = StatisticsDistance(model, known)
    assert float(distance(X[index])) < 1e-6
    guess = X[draw(6, 3)]
    theirs, expected = true_statistics(model, draw(6, 3)), 0.0
    for name, (mean, variance) in known.layers.items():
        spread, square = float(variance.sum()), float(mean.square().sum())
        apart = np.sum((theirs[name][0] - mean.numpy()) ** 2) / (square + spread)
        wider = np.sum((theirs[name][1] ** 0.5 - variance.numpy() ** 0.5) ** 2) / spread
        expected += float(apart + wider)
    values, slopes = distance.slope(guess[None])
    assert float(values) == pytest.approx(expected, rel=1e-3)
    step = 1e-3 * slopes[0] / slopes.norm()
    ahead, behind = distance(guess + step), distance(guess - step)
    assert float(ahead - behind) == pytest.approx(2e-3 * float(slopes.norm()), rel=0.02)


def test_starts_agree_over_shifts_and_orders() -> None:
    image = F.interpolate(torch.rand(3, 2, 6, 6, generator=rng()), (24, 24), mode="bilinear")
    noise = 0.05 * torch.randn(2, 3, 2, 24, 24, generator=rng(1))
    labels = torch.tensor([4, 4, 7])
    second = image[[1, 0, 2]].roll((2, -1), (2, 3))
    found = consensus(torch.stack([image, second]) + noise, labels, anchor=0)
    halved = noise.std() / 2**0.5
    assert float((found[0] - image).std()) == pytest.approx(float(halved), rel=0.1)
    assert float((found[1] - second).std()) == pytest.approx(float(halved), rel=0.1)


def test_statistics_make_a_trained_net_leak_more() -> None:
    model = trained()
    before = {n: v.clone() for n, v in model.state_dict().items()}
    gains, hits = [], 0.0
    for seed in range(6):
        index = draw(seed, 1)
        view = view_of(model, index)
        plain, full = (
            GradInversion(steps=100, statistics=weight)(view, rng(seed)) for weight in (0.0, 0.5)
        )
        assert "exact, from the buffers" in full.explanation
        assert "none known" in plain.explanation
        gains.append(float(psnr(full.inputs, X[index]) - psnr(plain.inputs, X[index])))
        hits += hit_rate(full.inputs, X[index])
    # Single images vary by several dB either way: the mean and most signs must agree.
    assert np.mean(gains) > 0.5
    assert sum(gain > 0 for gain in gains) >= 4
    assert hits >= 3
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_given_labels_are_used_and_the_least_objective_is_claimed() -> None:
    index = draw(1, 2)
    wrong = (Y[index] + 1) % 10
    view = view_of(trained(), index, Labels(wrong))
    assert GradInversion(steps=2)(view, rng()).labels.tolist() == wrong.tolist()
    view = view_of(trained(), index)
    one, many = (GradInversion(steps=20, restarts=n, consistency=0.0)(view, rng()) for n in (1, 4))
    assert many.objective <= one.objective
    assert not one.solved


def test_what_it_refuses() -> None:
    with pytest.raises(UsageError, match="restarts is 0; use 1 or more"):
        GradInversion(restarts=0)
    with pytest.raises(NotApplicableError, match="batch size is not known"):
        GradInversion()(replace(view_of(trained(), draw(0, 1)), facts=()), rng())
