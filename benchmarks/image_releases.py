"""One image's gradient, released 500 times at epsilon 1.5 each, or once at 1.5 in total.

The strongest fair setting: one record behind each release, the model stands still, its only
layer reads the pixels, and nearly all gradients are as long as clipping lets them be.
"""

from __future__ import annotations

from dataclasses import replace
from math import sqrt
from typing import Any

import torch
from image_sets import Images, images
from noisy_releases import contributions, lengths, ratios, reconstructed, released, seen
from torch import Tensor, nn
from trained_nets import draws, trained

from seepage.accounting.gaussian import epsilon_of, mu_of
from seepage.core.seeds import torch_rng
from seepage.defenses.dp.records.dp_sgd import DPSGD
from seepage.metrics.reconstruction import identified, psnr, ssim

DELTA, CANDIDATES = 1e-5, 1000
MUS = {
    "1.5 in total": mu_of(1.5, DELTA),
    "500 x 1.5": sqrt(500) * mu_of(1.5, DELTA),
    "next to no noise": 1000.0,
}
ATTACKS = ("averaged", "posterior-mean")
AUXILIARY = {"Fashion-MNIST": 2000, "CIFAR-10": 1000}
STEPS = {"Fashion-MNIST": (0.02, 400), "CIFAR-10": (0.003, 1500)}
CLAIMED = {"Fashion-MNIST": 0.87, "CIFAR-10": 0.71}


def looks(guesses: Tensor, truths: Tensor) -> dict[str, list[float]]:
    """Return by metric what guesses `[v, c, h, w]` share with the truths."""
    near = (guesses - truths).abs() < 0.1
    same = (guesses > 0.5) == (truths > 0.5)
    return {
        "near": near.flatten(1).double().mean(1).tolist(),
        "binary": same.flatten(1).double().mean(1).tolist(),
        "ssim": ssim(guesses, truths).tolist(),
        "psnr": psnr(guesses, truths).clamp(max=99).tolist(),
    }


def found_among(guesses: Tensor, truths: Tensor, gallery: Tensor) -> list[float]:
    """Return for each guess whether it picks its truth among the gallery."""
    pairs = zip(guesses, truths, strict=True)
    return [float(identified(g[None], t[None], gallery)[0]) for g, t in pairs]


def blind_hits(auxiliary: Images, truths: Tensor, threshold: float) -> float:
    """Return the best share of truths of which one blind guess has so many pixels right.

    Tried: the mean image, that of each class, and every auxiliary image.
    """
    classes = [auxiliary.x[auxiliary.y == k].mean(0) for k in auxiliary.y.unique()]
    tried = torch.cat([auxiliary.x.mean(0)[None], torch.stack(classes), auxiliary.x])
    bits = (tried > 0.5).flatten(1).float()
    wanted = (truths > 0.5).flatten(1).float()
    right = bits @ wanted.T + (1 - bits) @ (1 - wanted).T
    return float((right / bits.shape[1] >= threshold).double().mean(1).max())


class Target:
    """One data set, a trained linear model, and what is public."""

    def __init__(self, data: str) -> None:
        train, test = images(data)
        count = AUXILIARY[data]
        self.data, self.auxiliary, self.candidates = data, train[:count], test[:CANDIDATES]
        lr, steps = STEPS[data]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = nn.Sequential(nn.Flatten(), nn.Linear(train.x[0].numel(), 10))
        others = train[count:]
        batches = draws(len(others), 32, steps, torch_rng(0, "batches"))
        self.model = trained(model, others, batches, lr=lr)
        self.norm = float(
            lengths(self.model, DPSGD().card, self.auxiliary[:500]).quantile(torch.tensor(0.05))
        )

    def defense(self, level: str) -> DPSGD:
        """Return DP-SGD with the noise that all releases together leave."""
        return DPSGD(noise_multiplier=1 / MUS[level], max_grad_norm=self.norm)


def baselines(target: Target, victims: int) -> dict[str, Any]:
    """Return what guesses without any release score."""
    truths = target.candidates.x[:victims]
    held, labels = target.auxiliary, target.candidates.y[:victims]
    mean = held.x.mean(0, keepdim=True).expand_as(truths)
    by_class = torch.stack([held.x[held.y == k].mean(0) for k in labels])
    other = held.x[torch.randint(len(held), (victims,), generator=torch_rng(0, "others"))]
    black = torch.zeros_like(truths)
    guesses = {
        "all black": black, "another image": other, "mean image": mean,
        "mean image of its class (label told)": by_class,
    }  # fmt: skip
    found = {
        name: {**looks(g, truths), "identified": found_among(g, truths, target.candidates.x)}
        for name, g in guesses.items()
    }
    with torch.no_grad():
        right = (target.model(target.candidates.x).argmax(1) == target.candidates.y).float()
    blind = blind_hits(held, target.candidates.x, CLAIMED[target.data])
    return {"guesses": found, "blind": blind, "accuracy": float(right.mean())}


def attack(target: Target, level: str, victims: int, picks: int) -> dict[str, Any]:
    """Return what the attacks make of the releases, and of another record's (the null)."""
    defense = target.defense(level)
    updates = [
        released(defense, target.model, target.candidates[i : i + 1], torch_rng(0, level, i))
        for i in range(picks)
    ]
    truth = torch.arange(picks)
    view = seen(target.model, defense.card, updates[0], target.auxiliary)
    chosen = ratios(updates, contributions(view, target.candidates)).argmax(1)
    found: dict[str, Any] = {
        "candidate-test": {
            "identified": (chosen == truth).double().tolist(),
            "null": (chosen.roll(1) == truth).double().tolist(),
        }
    }
    truths, gallery = target.candidates.x[:victims], target.candidates.x
    mean = target.auxiliary.x.mean(0, keepdim=True)
    for name in ATTACKS:
        claims = [
            reconstructed(name, replace(view, update=u), torch_rng(0, "attack"))
            for u in updates[:victims]
        ]
        guesses = torch.cat([mean if c is None else c for c in claims])
        null = guesses.roll(1, 0)
        found[name] = {
            **looks(guesses, truths),
            "identified": found_among(guesses, truths, gallery),
            "null": found_among(null, truths, gallery),
            "null_binary": looks(null, truths)["binary"],
        }
    return {"attacks": found, "mu": MUS[level], "epsilon": epsilon_of(MUS[level], DELTA)}


def literal(target: Target, records: int = 3, releases: int = 500) -> dict[str, float]:
    """Release some records 500 times, one by one; return the noise of the mean, and as expected."""
    z = 1 / mu_of(1.5, DELTA)
    defense = DPSGD(noise_multiplier=z, max_grad_norm=target.norm)
    quiet = replace(defense, noise_multiplier=0.0)
    left: list[Tensor] = []
    for i in range(records):
        one, rng = target.candidates[i : i + 1], torch_rng(0, "literal", i)
        total: dict[str, Tensor] = {}
        for _ in range(releases):
            update = released(defense, target.model, one, rng)
            total = {n: total.get(n, 0) + v for n, v in update.items()}
        clean = released(quiet, target.model, one, rng)
        left += [(total[n] / releases - clean[n]).flatten() for n in clean]
    expected = 0.1 * z * target.norm / sqrt(releases)
    return {"measured": float(torch.cat(left).std()), "expected": expected}
