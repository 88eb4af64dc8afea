"""One record out of a large batch, by another last layer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from attack_views import (
    auxiliary,
    digits,
    gallery,
    knowledge,
    lenet,
    mlp,
    rng,
    seeded,
    seen,
    trained_mlp,
    update_of,
)
from torch import Tensor, nn

from seepage.attacks.inversion.active.catch import read_catch
from seepage.attacks.inversion.active.cutoff import choose_cutoff
from seepage.attacks.inversion.active.fishing import Fishing
from seepage.attacks.inversion.active.last_layer import last_layer
from seepage.attacks.inversion.exact.fully_connected import FullyConnected
from seepage.attacks.inversion.optimized.inverting_gradients import InvertingGradients
from seepage.core.errors import NotApplicableError, UsageError
from seepage.core.views import BatchSize
from seepage.metrics.reconstruction import identified

X, Y = digits()


def batch_with(size: int, label: int, count: int, seed: int = 0) -> Tensor:
    """Indices of `size` digits of which `count` have the label, those first."""
    order = torch.randperm(800, generator=rng(seed))
    own, others = order[Y[order] == label], order[Y[order] != label]
    return torch.cat([own[:count], others[: size - count]])


def sent(attack: Fishing, model: nn.Module, size: int, *facts: Any) -> nn.Module:
    told = knowledge(model, BatchSize(size), *facts, cohort=(0, 1, 2, 3))
    models = attack.act(told, rng()).models
    assert models.keys() == {0, 1, 2, 3}
    assert len({id(m) for m in models.values()}) == 1
    return models[0]


def view_of(model: nn.Module, index: Tensor, *facts: Any) -> Any:
    return seen(model, index, facts=(BatchSize(len(index)), *facts))


def cosine(model: nn.Module, batch: Tensor, one: Tensor) -> float:
    """Of what the batch and the one record make below the last layer."""
    sides = [update_of(model, (X[i], Y[i])) for i in (batch, one)]
    flats = [torch.cat([u.flatten() for u in list(side.values())[:-2]]) for side in sides]
    return float(F.cosine_similarity(*flats, dim=0))


def psnrs(claimed: Tensor, originals: Tensor) -> Tensor:
    """Of the nearest claim to each original, in dB."""
    errors = (claimed[:, None] - originals[None]).flatten(2).square().mean(2)
    return -10 * errors.amin(0).clamp_min(1e-20).log10()


@pytest.mark.parametrize("size", [64, 256])
def test_the_one_record_of_a_class_makes_the_gradient(size: int):
    model, index = trained_mlp(256), batch_with(size, 3, 1)
    bait = sent(Fishing(mode="class", target=3), model, size)
    assert abs(cosine(model, index, index[:1])) < 0.7
    assert cosine(bait, index, index[:1]) > 0.9999
    claim = Fishing(mode="class")(view_of(bait, index), rng())
    assert claim.solved
    assert claim.labels.tolist() == [3]
    assert float(psnrs(claim.inputs, X[index[:1]])) > 60
    assert "one record of the batch, of class 3" in claim.explanation
    honest = FullyConnected(passes=1, refits=0)(view_of(model, index), rng())
    assert float(psnrs(honest.inputs, X[index[:1]])) < 40


def test_the_last_layer_says_how_many_were_caught_and_what_their_features_are():
    bait = sent(Fishing(mode="class", target=7), trained_mlp(256), 64)
    for count in (1, 3):
        index = batch_with(64, 7, count)
        view = view_of(bait, index)
        catch = read_catch(view, last_layer(view))
        assert catch.own
        assert catch.count == pytest.approx(count, rel=1e-3)
        features = bait[:-1](X[index[:count]]).mean(0).double()
        torch.testing.assert_close(catch.features, features, atol=1e-4, rtol=1e-3)
    claim = Fishing(mode="class")(view, rng())
    assert claim.solved
    assert bool((psnrs(claim.inputs, X[index[:3]]) > 60).all())
    assert "3.0 records" in claim.explanation


def test_a_lenet_gives_up_the_fished_record_and_not_the_batch():
    hits = {"fished": 0, "plain": 0}
    for seed in range(3):
        model, index = lenet(), batch_with(64, 1, 1, seed)
        first, rivals = X[index[:1]], gallery(X[index])
        bait = sent(Fishing(mode="class", target=1), model, 64)
        claim = Fishing(mode="class")(view_of(bait, index), rng(seed))
        assert claim.inputs.shape == (1, 1, 8, 8)
        hits["fished"] += int(identified(claim.inputs, first, rivals).sum())
        assert not claim.solved or float(psnrs(claim.inputs, first)) > 30
        plain = InvertingGradients(steps=60)(view_of(model, index), rng(seed))
        hits["plain"] += int(identified(plain.inputs, X[index], rivals)[0])
    assert hits["fished"] == 3
    assert hits["plain"] <= 1


def test_it_works_on_a_sum_over_clients():
    bait = sent(Fishing(mode="class", target=3), trained_mlp(256), 16)
    index = batch_with(64, 3, 1).view(4, 16)
    claim = Fishing(mode="class")(seen(bait, *index), rng())
    assert claim.solved
    assert float(psnrs(claim.inputs, X[index[0, :1]])) > 60


@pytest.mark.parametrize("size", [64, 256])
def test_feature_fishing_needs_no_lone_record_of_a_class(size: int):
    model, caught = trained_mlp(256), 0
    bait = sent(Fishing(), model, size, auxiliary())
    for seed in range(6):
        index = torch.randperm(800, generator=rng(seed))[:size]
        claim = Fishing()(view_of(bait, index, auxiliary()), rng(seed))
        originals = psnrs(claim.inputs, X[index]) if len(claim.inputs) else torch.zeros(1)
        caught += bool((originals > 40).any())
        # Never a wrong image for right.
        assert not claim.solved or int((originals > 40).sum()) == len(claim.inputs)
    assert caught >= 4


def test_a_cutoff_keeps_its_promise_on_fresh_records():
    """Two classes, Gaussian along one axis: the simulated share is met by new batches."""

    def draw(count: int, seed: int) -> tuple[Tensor, Tensor]:
        labels = torch.randint(2, (count,), generator=rng(seed))
        features = torch.randn(count, 5, generator=rng(seed + 1))
        features[:, 0] += 8.0 * labels
        return features, labels

    features, labels = draw(600, 0)
    cutoff = choose_cutoff(features, labels, 32, rng(), classes=2)
    assert cutoff is not None
    fresh, truth = draw(32 * 400, 7)
    p = torch.sigmoid(fresh.double() @ cutoff.direction - cutoff.offset)
    weight = torch.where(truth == cutoff.target, 1 - p, p).view(400, 32)
    top = weight.amax(1)
    met = float(((top > 0.9 * weight.sum(1)) & (top > 1e-4)).double().mean())
    # Best of a hard cutoff: 1 / e = .37. Three standard errors, and the choice among many.
    assert met > 0.45
    assert abs(met - cutoff.success) < 0.15
    assert choose_cutoff(features, labels, 32, rng(), classes=2, target=0).target == 0
    assert choose_cutoff(features[:1], labels[:1], 32, rng(), classes=2) is None


def test_what_it_can_not_fish_is_said():
    index = batch_with(32, 3, 0)
    bait = sent(Fishing(mode="class", target=3), mlp(64), 32)
    nothing = Fishing(mode="class")(view_of(bait, index), rng())
    assert len(nothing.inputs) == 0
    assert not nothing.solved
    assert "nothing was caught" in nothing.explanation
    refused = Fishing()(replace(view_of(bait, index), update={}), rng())
    assert "no sum" in refused.explanation
    with pytest.raises(NotApplicableError, match="none that fishing sends"):
        Fishing()(view_of(mlp(64), index), rng())
    with pytest.raises(NotApplicableError, match="auxiliary"):
        sent(Fishing(), mlp(64), 32)
    with pytest.raises(NotApplicableError, match="class 10"):
        sent(Fishing(mode="class", target=10), mlp(64), 32)
    headless = seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10, bias=False)))
    with pytest.raises(NotApplicableError, match="with a bias"):
        sent(Fishing(mode="class"), headless, 32)
    with pytest.raises(UsageError, match="mode"):
        Fishing(mode="net")
