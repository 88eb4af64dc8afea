from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from attack_scores import hit_rate
from attack_views import LR, defense_card, digits, draw, lenet, mlp, rng, update_of, update_view

from seepage.attacks.inversion.optimized.inverting_gradients import InvertingGradients
from seepage.attacks.inversion.optimized.known_noise import known_noise
from seepage.attacks.inversion.optimized.matching import GaussianMatch
from seepage.attacks.inversion.optimized.victim import flat
from seepage.core.views import BatchSize, Labels

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
        assert found["1.bias"] == pytest.approx(2 * found["1.weight"])
    assert known_noise(update_view(mlp(8), update, BatchSize(4)), update) is None


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
