"""The defenses and the local training that a learned inversion rehearses are the real ones."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from attack_views import LR, digits, flat, lenet, mlp, rng, seeded, trained_mlp, update_of
from torch import nn

from seepage.attacks.inversion.learned.local_training import LocalTraining
from seepage.attacks.inversion.learned.simulated_defenses import aggregated, sent
from seepage.core.defense import LocalStep
from seepage.defenses.dp.central_dp import CentralDP
from seepage.defenses.dp.local_dp import LocalDP
from seepage.defenses.dp.records.dp_sgd import DPSGD
from seepage.defenses.top_k import TopK

X, Y = digits()


@pytest.mark.parametrize(
    "defenses",
    [(TopK(fraction=0.05),), (LocalDP(noise_multiplier=0.0, max_norm=0.01),),
     (LocalDP(noise_multiplier=0.0, max_norm=0.01), TopK(fraction=0.2))],
)  # fmt: skip
def test_a_simulated_update_is_the_defenses_own(defenses):
    update: Any = update_of(mlp(32), (X[:3], Y[:3]))
    cards = [defense.card for defense in defenses]
    simulated = sent(flat(update)[None], cards, batch=3, steps=1, lr=LR, rng=rng())
    for defense in defenses:
        update = defense.protect_update(update, rng())
    torch.testing.assert_close(simulated.realized(rng())[0], flat(update), rtol=1e-5, atol=1e-9)


def test_simulated_clipping_by_record_is_that_of_dp_sgd():
    model = trained_mlp(128)
    names = [name for name, _ in model.named_parameters()]
    x, y = torch.cat([X[:2], 5 * X[2:4]]), Y[:4]
    training = LocalTraining(model, F.cross_entropy, names, steps=1, lr=LR, max_grad_norm=0.5)
    step = LocalStep(model=model, loss=F.cross_entropy, inputs=x, targets=y, expected_batch=4)
    quiet = DPSGD(noise_multiplier=0.0, max_grad_norm=0.5).gradient(step, rng())
    expected = -LR * flat({n: quiet[n] for n in names})
    torch.testing.assert_close(
        training.updates(x[None], y[None], rng())[0], expected, rtol=1e-3, atol=1e-7
    )
    noisy = DPSGD(noise_multiplier=2.0, max_grad_norm=0.5)
    drawn = -LR * flat(noisy.gradient(step, rng())) - expected
    released = sent(expected[None], [noisy.card], batch=4, steps=1, lr=LR, rng=rng())
    assert released.noise == pytest.approx(float(drawn.std()), rel=0.03)


@pytest.mark.parametrize(
    ("defense", "std"),
    [(LocalDP(noise_multiplier=0.5, max_norm=0.01), 0.005 / math.sqrt(2)),
     (CentralDP(noise_multiplier=0.5, max_norm=0.01), 0.0025)],
)  # fmt: skip
def test_a_simulated_aggregate_has_the_mean_and_the_noise_of_the_real_one(defense, std):
    updates: Any = [update_of(mlp(32), (X[i : i + 1], Y[i : i + 1])) for i in range(2)]
    quiet, loud = (replace(defense, noise_multiplier=z) for z in (0.0, defense.noise_multiplier))
    both = torch.stack([flat(u) for u in updates])[None]
    alike = {"batch": 1, "steps": 1, "lr": LR, "rng": rng()}
    simulated = aggregated(sent(both, [loud.card], **alike), [loud.card], rng())
    counted = [quiet.bound_update(quiet.protect_update(u, rng())) for u in updates]
    expected = (flat(counted[0]) + flat(counted[1])) / 2
    torch.testing.assert_close(simulated.values[0], expected, rtol=1e-5, atol=1e-9)
    assert simulated.noise == pytest.approx(std)


def batch_norm_net() -> nn.Module:
    def build() -> nn.Module:
        layers = nn.Linear(64, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 10)
        return nn.Sequential(nn.Flatten(), *layers)

    return seeded(build)


@pytest.mark.parametrize("build", [lambda: mlp(16), lenet, batch_norm_net])
def test_simulated_local_training_is_a_clients(build):
    model = build()
    local = build()
    for i in (0, 1):
        local.zero_grad()
        F.cross_entropy(local(X[4 * i : 4 * i + 4]), Y[4 * i : 4 * i + 4]).backward()
        with torch.no_grad():
            for parameter in local.parameters():
                parameter -= LR * parameter.grad
    new = {n: v for n, v in local.state_dict().items() if v.is_floating_point()}
    expected = {n: v - model.state_dict()[n] for n, v in new.items()}
    training = LocalTraining(model, F.cross_entropy, list(new), steps=2, lr=LR)
    x, y = torch.stack([X[8:16], X[:8]]), torch.stack([Y[8:16], Y[:8]])
    updates = training.updates(x, y, rng())
    torch.testing.assert_close(updates[1], flat(expected), rtol=1e-3, atol=1e-6)
    assert not torch.allclose(updates[0], updates[1], atol=1e-4)
