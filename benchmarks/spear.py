"""SPEAR and ICA on real images: which batches come back whole, and in how many CPU seconds.

Prints a markdown page: mean float32 gradients of ReLU MLPs, fresh and after 300 steps of SGD,
three seeds of victims that neither training nor gallery shares; then the hard cases; then
large batches, as the share of records identified among 1,000 candidates.

    SEEPAGE_DATA=... python benchmarks/spear.py > benchmarks/results/spear.md
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from functools import cache
from typing import Any

import cifar10
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seepage.attacks.inversion.exact.fully_connected import FullyConnected
from seepage.attacks.inversion.exact.ica import ICA
from seepage.attacks.inversion.exact.spear import Spear
from seepage.core.claims import Reconstruction
from seepage.core.threat import Observer
from seepage.core.views import BatchSize, JobFacts, UpdateView
from seepage.metrics.matching import match
from seepage.metrics.reconstruction import identified, psnr

LR, EXACT, CANDIDATES = 0.1, 60.0, 1000
VICTIMS, GALLERY, TRAINING = slice(0, 4000), slice(4000, 5000), slice(5000, 10_000)
DATA = ("Fashion-MNIST", "CIFAR-10")
STAGES = ("fresh", "trained")


@cache
def images(name: str) -> tuple[Tensor, Tensor]:
    if name == "CIFAR-10":
        pixels, labels = cifar10.load()
    else:
        path = cifar10.folder() / "images" / "fashion_mnist" / "fashion_mnist_30k_10k.npz"
        with np.load(path) as arrays:
            pixels = arrays["x_train"][:10_000, None] / np.float32(255)
            labels = arrays["y_train"][:10_000]
    return torch.tensor(pixels), torch.tensor(labels).long()


@cache
def model(
    data: str, width: int, depth: int, stage: str, act: type[nn.Module] = nn.ReLU
) -> nn.Module:
    """An MLP of `depth` hidden layers, if trained by 300 steps of batch 32."""
    x, y = images(data)
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Flatten()]
    size = x[0].numel()
    for _ in range(depth):
        layers += [nn.Linear(size, width), act()]
        size = width
    net = nn.Sequential(*layers, nn.Linear(size, 10))
    optimizer, rng = torch.optim.SGD(net.parameters(), LR), torch.Generator().manual_seed(0)
    for _ in range(300 if stage == "trained" else 0):
        chosen = torch.randint(TRAINING.start, TRAINING.stop, (32,), generator=rng)
        optimizer.zero_grad()
        F.cross_entropy(net(x[chosen]), y[chosen]).backward()
        optimizer.step()
    return net


def victims(data: str, size: int, seed: int) -> tuple[Tensor, Tensor]:
    x, y = images(data)
    chosen = torch.randperm(VICTIMS.stop, generator=torch.Generator().manual_seed(seed))[:size]
    return x[chosen], y[chosen]


def view_of(net: nn.Module, x: Tensor, y: Tensor) -> UpdateView:
    slopes = torch.autograd.grad(F.cross_entropy(net(x), y), list(net.parameters()))
    named = zip((name for name, _ in net.named_parameters()), slopes, strict=True)
    job = JobFacts(
        input_shape=tuple(x.shape[1:]),
        classes=10,
        value_range=(0.0, 1.0),
        clients=8,
        cohort=8,
        local_steps=1,
        lr=LR,
    )
    return UpdateView(
        observer=Observer.HONEST_SERVER,
        job=job,
        loss=F.cross_entropy,
        facts=(BatchSize(len(x)),),
        round=0,
        client=0,
        model=net,
        update={name: -LR * slope for name, slope in named},
    )


def attacked(attack: Any, net: nn.Module, x: Tensor, y: Tensor) -> tuple[Reconstruction, float]:
    """Return the claim and the CPU seconds that it took."""
    view = view_of(net, x, y)
    begun = time.process_time()
    claim = attack(view, torch.Generator().manual_seed(0))
    return claim, time.process_time() - begun


def worst(claim: Reconstruction, x: Tensor) -> float:
    """Return the least PSNR over the batch; 0 where an image did not come back."""
    pairs = match(claim.inputs, x)
    if len(pairs) < len(x):
        return 0.0
    i, j = (list(column) for column in zip(*pairs, strict=True))
    return float(psnr(claim.inputs[i], x[j]).min())


def verdict(claim: Reconstruction, least: float) -> str:
    if claim.solved:
        return "solved" if least >= EXACT else "**wrong**"
    return "refused" if not len(claim.inputs) else "not claimed"


def exact_rows(sizes: list[int], seeds: int) -> Iterator[str]:
    yield "| data | width | hidden | stage | batch | exact | solved | PSNR, least | CPU s, most |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for data in DATA:
        for width, depth in ((512, 1), (1024, 1), (512, 2)):
            for stage in STAGES:
                for size in sizes:
                    least, solved, seconds = [], 0, []
                    for seed in range(seeds):
                        x, y = victims(data, size, seed)
                        claim, cpu = attacked(Spear(), model(data, width, depth, stage), x, y)
                        least.append(worst(claim, x))
                        solved += claim.solved
                        seconds.append(cpu)
                    exact = sum(value >= EXACT for value in least)
                    yield (
                        f"| {data} | {width} | {depth} | {stage} | {size} | {exact}/{seeds} "
                        f"| {solved}/{seeds} | {min(least):.0f} | {max(seconds):.1f} |"
                    )


def hard_cases(data: str, seed: int) -> Iterator[tuple[str, int, Tensor, Tensor]]:
    x, y = victims(data, 8, seed)
    yield "8 images, width 256", 256, x, y
    rng = torch.Generator().manual_seed(seed)
    for spread in (0.0, 1e-3, 1e-2, 0.05):
        noise = torch.randn(x.shape, generator=rng)
        near = (x[:1].repeat(8, 1, 1, 1) + spread * noise).clamp(0, 1)
        yield f"one image 8 times, noise {spread:g}", 512, near, y[:1].repeat(8)
    for spread in (0.0, 1e-3, 1e-2):
        for label, shift in (("one label", 0), ("two labels", 1)):
            pair, labels = x.clone(), y.clone()
            pair[1] = (x[0] + spread * torch.randn(x[0].shape, generator=rng)).clamp(0, 1)
            labels[1] = (y[0] + shift) % 10
            yield f"2 of 8 alike, noise {spread:g}, {label}", 512, pair, labels


def hard_rows(seeds: int) -> Iterator[str]:
    yield "| case | data | stage | what the attack said, by seed | PSNR, least, where claimed |"
    yield "|---|---|---|---|---|"
    for data in DATA:
        for stage in STAGES:
            said: dict[str, list[tuple[str, float]]] = {}
            for seed in range(seeds):
                for case, width, x, y in hard_cases(data, seed):
                    claim, _ = attacked(Spear(), model(data, width, 1, stage), x, y)
                    least = worst(claim, x)
                    said.setdefault(case, []).append((verdict(claim, least), least))
            for case, answers in said.items():
                words = ", ".join(word for word, _ in answers)
                claimed = [least for word, least in answers if word in ("solved", "**wrong**")]
                shown = f"{min(claimed):.0f}" if claimed else "-"
                yield f"| {case} | {data} | {stage} | {words} | {shown} |"


def large_rows(sizes: list[int], seeds: int) -> Iterator[str]:
    yield "| data | net | stage | batch | ica | CPU s | fully-connected | spear |"
    yield "|---|---|---|---|---|---|---|---|"
    nets = (("tanh 512", 512, nn.Tanh), ("ReLU 512", 512, nn.ReLU))
    for data in DATA:
        for name, width, act in nets:
            for stage in STAGES:
                net = model(data, width, 1, stage, act)
                for size in sizes:
                    rates = [large_rates(data, net, size, seed, act) for seed in range(seeds)]
                    mean = [sum(column) / seeds for column in zip(*rates, strict=True)]
                    spear = f"{mean[3]:.2f}" if _spear_runs(size, act) else "-"
                    yield (
                        f"| {data} | {name} | {stage} | {size} | {mean[0]:.2f} | {mean[1]:.1f} "
                        f"| {mean[2]:.2f} | {spear} |"
                    )


def _spear_runs(size: int, act: type[nn.Module]) -> bool:
    return act is nn.ReLU and size <= Spear().largest_search


def large_rates(
    data: str, net: nn.Module, size: int, seed: int, act: type[nn.Module]
) -> tuple[float, float, float, float]:
    """Return identification by ica, its CPU seconds, by fully-connected and by spear."""
    x, y = victims(data, size, seed)
    candidates = torch.cat([x, images(data)[0][GALLERY][: CANDIDATES - size]])

    def rate(attack: Any) -> tuple[float, float]:
        claim, cpu = attacked(attack, net, x, y)
        return float(identified(claim.inputs, x, candidates).double().mean()), cpu

    ica, cpu = rate(ICA())
    direct, _ = rate(FullyConnected())
    spear = rate(Spear(passes=2))[0] if _spear_runs(size, act) else 0.0
    return ica, cpu, direct, spear


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--batches", type=int, nargs="+", default=[4, 8, 12, 16])
    parser.add_argument("--large", type=int, nargs="+", default=[32, 64, 128])
    parser.add_argument("--parts", nargs="+", default=["exact", "hard", "large"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    parts = {
        "exact": ("SPEAR: whole batches", lambda: exact_rows(options.batches, options.seeds)),
        "hard": ("SPEAR: hard cases", lambda: hard_rows(options.seeds)),
        "large": (
            "Large batches: records identified among 1,000",
            lambda: large_rows(options.large, options.seeds),
        ),
    }
    for name in options.parts:
        title, rows = parts[name]
        print(f"## {title}\n", flush=True)
        for row in rows():
            print(row, flush=True)
        print()


if __name__ == "__main__":
    main()
