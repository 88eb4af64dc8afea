from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from attack_scores import hit_rate
from attack_views import LR, defense_card, digits, draw, lenet, mlp, rng, update_of, update_view

from seepage.attacks.inversion.optimized.inverting_gradients import InvertingGradients
from seepage.attacks.inversion.optimized.search.known_noise import known_noise
from seepage.attacks.inversion.optimized.search.matching import GaussianMatch
from seepage.attacks.inversion.optimized.search.victim import flat
from seepage.core.defense import LocalStep
from seepage.core.views import BatchSize, Labels
from seepage.defenses.dp.records.dp_sgd import DPSGD
from seepage.defenses.dp.records.per_coordinate_dp import PerCoordinateDP

X, Y = digits()


def test_the_noise_of_a_card_is_that_of_the_gradient():
    update = update_of(mlp(8), (X[:4], Y[:4]))
    cards = {
        0.5 * 3 / 4: defense_card("dp-sgd", noise_multiplier=0.5, max_grad_norm=3.0),
        0.5 * 3 / LR: defense_card("local-dp", noise_multiplier=0.5, max_norm=3.0),
    }
    for expected, card in cards.items():
        view = update_view(mlp(8), update, BatchSize(4), defenses=(card,))
        found = known_noise(view, update)
        assert found == pytest.approx(dict.fromkeys(update, expected))
        uneven = replace(card, settings={**card.settings, "noise_scale": {"1.bias": 2.0}})
        found = known_noise(replace(view, defenses=(uneven,)), update)
        assert found is not None
        assert found["1.bias"] == pytest.approx(2 * found["1.weight"])
    assert known_noise(update_view(mlp(8), update, BatchSize(4)), update) is None


def test_the_noise_is_told_by_layer_step_and_coordinate():
    """Against what the defenses add to an empty batch: noise alone, a thousand times over."""
    sizes = {"1.weight": 8 * 64, "1.bias": 8}
    each = torch.linspace(0.2, 3, sizes["1.weight"]).tolist()
    for defense in (
        DPSGD(noise_multiplier=2.0, max_grad_norm=0.5, noise_by_layer={"1.": 3.0, "1.bias": 0.1}),
        DPSGD(noise_multiplier=2.0, clipping="per-layer", noise_schedule=((0, 1.0), (4, 0.25))),
        DPSGD(noise_multiplier=2.0, clipping="adaptive", count_noise=1.2),
        PerCoordinateDP(source="public", scales={"1.weight": each, "": 0.7}),
        PerCoordinateDP(source="budgeted"),
    ):
        model, number = mlp(8), 4 if defense.card.settings.get("noise_schedule") else 0
        empty = LocalStep(
            model=model, loss=F.cross_entropy, inputs=X[:0], targets=Y[:0], expected_batch=4,
            number=number,
        )  # fmt: skip
        order = rng(1)
        drawn = [replace(empty, carried={}) for _ in range(400)]
        noise = [dict(defense.gradient(step, order)) for step in drawn]
        view = update_view(model, noise[0], BatchSize(4), defenses=(defense.card,))
        found = known_noise(replace(view, round=number), noise[0])
        assert found is not None
        for name in noise[0]:
            seen = torch.stack([one[name] for one in noise]) / torch.as_tensor(found[name])
            assert float(seen.square().mean()) == pytest.approx(1, abs=0.1)
            assert float(seen.square().mean(0).max()) < 1.5
    update = update_of(mlp(8), (X[:4], Y[:4]))
    for card in (
        defense_card("dp-sgd", noise_multiplier=1.0, max_grad_norm=1.0, clipping="adaptive"),
        defense_card("per-coordinate-dp", noise_multiplier=1.0, max_grad_norm=1.0, scales=None),
        defense_card("bayesian-noise", noise_multiplier=1.0, largest_multiplier=2.0),
    ):
        view = update_view(mlp(8), update, BatchSize(4), defenses=(card,))
        assert known_noise(replace(view, round=3), update) is None


def test_the_quiet_coordinates_of_one_layer_are_enough():
    """A fourth of each tensor's coordinates is quiet: at even weight the rest drowns them."""
    model, order = lenet(), rng(5)
    sizes = {name: p.numel() for name, p in model.named_parameters()}
    quiet = {n: torch.rand(size, generator=order) < 0.25 for n, size in sizes.items()}
    scales = {n: torch.where(q, 1e-3, 10.0).tolist() for n, q in quiet.items()}
    defense = PerCoordinateDP(
        noise_multiplier=1e-5, max_grad_norm=1e5, source="public", scales=scales
    )
    hits = {True: 0.0, False: 0.0}
    for seed in range(2):
        index = draw(seed, 1)
        step = LocalStep(
            model=model, loss=F.cross_entropy, inputs=X[index], targets=Y[index], expected_batch=1
        )
        sent = {n: -LR * g for n, g in defense.gradient(step, rng(seed)).items()}
        view = update_view(model, sent, BatchSize(1), Labels(Y[index]), defenses=(defense.card,))
        for aware in hits:
            claim = InvertingGradients(steps=80, noise_aware=aware)(view, rng())
            hits[aware] += hit_rate(claim.inputs, X[index])
            assert not claim.solved
    assert hits == {True: 2, False: 0}


def test_the_right_batch_leaves_nothing_but_the_noise():
    gradient = {
        "a": torch.randn(3000, generator=rng(1)),
        "b": torch.randn(50, 40, generator=rng(2)),
    }
    deviations = {"a": 0.3, "b": 5.0}
    seen = {
        n: 0.4 * g + deviations[n] * torch.randn(g.shape, generator=rng(3 + i))
        for i, (n, g) in enumerate(gradient.items())
    }
    match = GaussianMatch.of(seen, deviations)
    guesses = torch.stack([flat(gradient), 7 * flat(gradient), -flat(gradient)])
    right, scaled, opposite = (match.misfit(float(d)) for d in match.aim(guesses)[0])
    assert right == pytest.approx(1, abs=0.06)
    assert scaled == pytest.approx(right, abs=1e-4)
    assert opposite > right + 0.3
    # Fitting the noise as well goes below what the noise allows.
    assert float(match.aim(flat(seen)[None])[0]) < match.floor < float(match.aim(guesses)[0][0])


def test_whitening_finds_the_quiet_coordinates():
    scale = {"5.weight": 3000.0, "5.bias": 3000.0}
    card = defense_card("local-dp", noise_multiplier=1e-5, max_norm=1.0, noise_scale=scale)
    hits = {True: 0.0, False: 0.0}
    for seed in range(3):
        index = draw(seed, 1)
        update = update_of(lenet(), (X[index], Y[index]))
        loud = {
            n: u + 1e-5 * scale.get(n, 1.0) * torch.randn(u.shape, generator=rng(i))
            for i, (n, u) in enumerate(update.items())
        }
        view = update_view(lenet(), loud, BatchSize(1), Labels(Y[index]), defenses=(card,))
        for aware in hits:
            claim = InvertingGradients(steps=80, noise_aware=aware)(view, rng())
            hits[aware] += hit_rate(claim.inputs, X[index])
            assert not claim.solved
    assert hits == {True: 3, False: 0}
