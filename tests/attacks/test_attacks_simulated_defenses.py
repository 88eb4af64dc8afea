"""The defenses and the local training that a learned inversion rehearses are the real ones."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from attack_views import LR, digits, flat, known, lenet, mlp, rng, seeded, trained_mlp, update_of
from torch import nn

from seepage.attacks.inversion.learned.local_training import LocalTraining
from seepage.attacks.inversion.learned.simulated_defenses import (
    aggregated,
    sent,
    simulated_by_record,
)
from seepage.attacks.inversion.learned.simulation import Simulation
from seepage.core.defense import LocalStep
from seepage.core.views import BatchSize, UpdateView
from seepage.defenses.dp.central_dp import CentralDP
from seepage.defenses.dp.local_dp import LocalDP
from seepage.defenses.dp.records.dp_sgd import DPSGD
from seepage.defenses.dp.records.per_coordinate_dp import PerCoordinateDP
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


SCALES = {"1.": 0.2, "3.": 3.0}


@pytest.mark.parametrize(
    "defense",
    [
        DPSGD(max_grad_norm=0.5),
        DPSGD(max_grad_norm=0.5, clipping="per-layer"),
        DPSGD(max_grad_norm=0.5, noise_by_layer={"1.": 0.2, "": 3.0}),
        PerCoordinateDP(max_grad_norm=0.5, source="public", scales=SCALES),
    ],
    ids=["even", "per-layer", "noise-by-layer", "per-coordinate"],
)
def test_simulated_clipping_and_noise_by_record_are_the_defenses_own(defense):
    model = trained_mlp(128)
    like = {name: p.detach() for name, p in model.named_parameters()}
    x, y = torch.cat([X[:2], 5 * X[2:4]]), Y[:4]
    quiet, noisy = (replace(defense, noise_multiplier=z) for z in (0.0, 2.0))
    by_record = simulated_by_record([noisy.card], like, 0)
    assert by_record
    training = LocalTraining(
        model, F.cross_entropy, list(like), steps=1, lr=LR, clip=by_record.clip
    )
    step = LocalStep(model=model, loss=F.cross_entropy, inputs=x, targets=y, expected_batch=4)
    expected = {n: -LR * g for n, g in quiet.gradient(step, rng()).items()}
    torch.testing.assert_close(
        training.updates(x[None], y[None], rng())[0],
        flat({n: expected[n] for n in like}),
        rtol=1e-3,
        atol=1e-7,
    )
    loud = noisy.gradient(step, rng())
    released = sent(
        flat(expected)[None],
        [noisy.card],
        batch=4,
        steps=1,
        lr=LR,
        rng=rng(),
        by_record=by_record,
        like=like,
    )
    noise = torch.as_tensor(released.noise).expand(sum(p.numel() for p in like.values()))
    for name, said in zip(like, noise.split([p.numel() for p in like.values()]), strict=True):
        drawn = -LR * loud[name] - expected[name]
        assert float(said.mean()) == pytest.approx(float(drawn.std()), rel=6 / drawn.numel() ** 0.5)


def test_a_simulated_laplace_release_has_the_norm_and_the_noise_of_the_real_one():
    update: Any = update_of(mlp(32), (X[:3], Y[:3]))
    quiet, loud = (LocalDP(noise_multiplier=z, max_norm=0.01, noise="laplace") for z in (0.0, 0.5))
    released = sent(flat(update)[None], [loud.card], batch=3, steps=1, lr=LR, rng=rng())
    clipped = flat(quiet.protect_update(update, rng()))
    torch.testing.assert_close(released.values[0], clipped, rtol=1e-5, atol=1e-9)
    drawn = flat(loud.protect_update(update, rng())) - clipped
    assert released.noise == pytest.approx(float(drawn.std()), rel=0.1)


def test_uneven_noise_is_made_even_before_anything_is_learned():
    model = mlp(16)
    card = DPSGD(noise_multiplier=1.0, noise_by_layer={"1.": 0.1}).card
    update = update_of(model, (X[:1], Y[:1]))
    view = UpdateView(
        round=0,
        client=0,
        model=model,
        update=update,
        **known(BatchSize(1), defenses=(card,), lr=LR),
    )
    even, odd = Simulation(view, adaptive=False), Simulation(view)
    assert even.spread == 1.0
    spread = torch.as_tensor(odd.spread)
    assert float(spread.square().mean()) == pytest.approx(1.0, rel=1e-5)
    first = update["1.weight"].numel()
    assert float(spread[first + 20] / spread[0]) == pytest.approx(10.0, rel=1e-4)
    torch.testing.assert_close(odd.observed * spread, even.observed)


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
