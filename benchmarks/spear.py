"""SPEAR and ICA on real images: which batches come back whole, and in how many CPU seconds.

Prints a markdown page: mean float32 gradients of ReLU MLPs, fresh and after 300 steps of SGD,
three seeds of victims that neither training nor gallery shares; then the hard cases; then
large batches, as the share of records identified among 1,000 candidates.

    SEEPAGE_DATA=... python benchmarks/spear.py > benchmarks/results/spear.md
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import cache
from typing import Any

import torch
from image_sets import SETS, Images, images
from result_tables import head, line
from torch import nn
from trained_nets import draws, trained
from victims import attacked, gradient_update, matched, server

from seepage.attacks.inversion.exact.fully_connected import FullyConnected
from seepage.attacks.inversion.exact.ica import ICA
from seepage.attacks.inversion.exact.spear import Spear
from seepage.core.claims import Reconstruction
from seepage.core.views import BatchSize, UpdateView
from seepage.metrics.reconstruction import identified, psnr

LR, EXACT, CANDIDATES = 0.1, 60.0, 1000
VICTIMS, GALLERY, TRAINING = slice(0, 4000), slice(4000, 5000), slice(5000, 10_000)
STAGES = ("fresh", "trained")


@cache
def model(
    data: str, width: int, depth: int, stage: str, act: type[nn.Module] = nn.ReLU
) -> nn.Module:
    """An MLP of `depth` hidden layers, if trained by 300 steps of batch 32."""
    known = images(data)[0][TRAINING]
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Flatten()]
    size = known.x[0].numel()
    for _ in range(depth):
        layers += [nn.Linear(size, width), act()]
        size = width
    net = nn.Sequential(*layers, nn.Linear(size, 10))
    steps, rng = 300 if stage == "trained" else 0, torch.Generator().manual_seed(0)
    return trained(net, known, draws(len(known), 32, steps, rng), lr=LR)


def victims(data: str, size: int, seed: int) -> Images:
    """Return a batch of those that neither training nor gallery shares."""
    chosen = torch.randperm(VICTIMS.stop, generator=torch.Generator().manual_seed(seed))[:size]
    return images(data)[0][chosen]


def inverted(attack: Any, net: nn.Module, batch: Images) -> tuple[Reconstruction, float]:
    """Return the claim on a batch's gradient, and the CPU seconds that it took."""
    common = server(batch.shape, BatchSize(len(batch)), lr=LR)
    view = UpdateView(client=0, model=net, update=gradient_update(net, batch, LR), **common)
    return attacked(attack, view, torch.Generator().manual_seed(0))


def worst(claim: Reconstruction, batch: Images) -> float:
    """Return the least PSNR over the batch; 0 where an image did not come back."""
    mine, true = matched(claim.inputs, batch.x)
    return float(psnr(mine, true).min()) if len(true) == len(batch) else 0.0


def verdict(claim: Reconstruction, least: float) -> str:
    """Return what the attack said, in bold where it is wrong."""
    if claim.solved:
        return "solved" if least >= EXACT else "**wrong**"
    return "refused" if not len(claim.inputs) else "not claimed"


def exact_rows(sizes: list[int], seeds: int) -> Iterator[str]:
    """Yield the table of whole batches."""
    yield head(
        "data", "width", "hidden", "stage", "batch", "exact", "solved", "PSNR, least",
        "CPU s, most",
    )  # fmt: skip
    for data in SETS:
        for width, depth in ((512, 1), (1024, 1), (512, 2)):
            for stage in STAGES:
                for size in sizes:
                    least, solved, seconds = [], 0, []
                    for seed in range(seeds):
                        batch = victims(data, size, seed)
                        claim, cpu = inverted(Spear(), model(data, width, depth, stage), batch)
                        least.append(worst(claim, batch))
                        solved += claim.solved
                        seconds.append(cpu)
                    exact = sum(value >= EXACT for value in least)
                    cells = data, width, depth, stage, size, f"{exact}/{seeds}"
                    figures = f"{solved}/{seeds}", f"{min(least):.0f}", f"{max(seconds):.1f}"
                    yield line([*cells, *figures])


def hard_cases(data: str, seed: int) -> Iterator[tuple[str, int, Images]]:
    """Yield batches that are hard to take apart, with their names and the net's width."""
    batch = victims(data, 8, seed)
    x, y = batch.x, batch.y
    yield "8 images, width 256", 256, batch
    rng = torch.Generator().manual_seed(seed)
    for spread in (0.0, 1e-3, 1e-2, 0.05):
        noise = torch.randn(x.shape, generator=rng)
        near = (x[:1].repeat(8, 1, 1, 1) + spread * noise).clamp(0, 1)
        yield f"one image 8 times, noise {spread:g}", 512, Images(near, y[:1].repeat(8))
    for spread in (0.0, 1e-3, 1e-2):
        for label, shift in (("one label", 0), ("two labels", 1)):
            pair, labels = x.clone(), y.clone()
            pair[1] = (x[0] + spread * torch.randn(x[0].shape, generator=rng)).clamp(0, 1)
            labels[1] = (y[0] + shift) % 10
            yield f"2 of 8 alike, noise {spread:g}, {label}", 512, Images(pair, labels)


def hard_rows(seeds: int) -> Iterator[str]:
    """Yield the table of hard cases."""
    yield head(
        "case", "data", "stage", "what the attack said, by seed", "PSNR, least, where claimed"
    )
    for data in SETS:
        for stage in STAGES:
            said: dict[str, list[tuple[str, float]]] = {}
            for seed in range(seeds):
                for case, width, batch in hard_cases(data, seed):
                    claim, _ = inverted(Spear(), model(data, width, 1, stage), batch)
                    least = worst(claim, batch)
                    said.setdefault(case, []).append((verdict(claim, least), least))
            for case, answers in said.items():
                words = ", ".join(word for word, _ in answers)
                claimed = [least for word, least in answers if word in ("solved", "**wrong**")]
                shown = f"{min(claimed):.0f}" if claimed else "-"
                yield line([case, data, stage, words, shown])


def large_rows(sizes: list[int], seeds: int) -> Iterator[str]:
    """Yield the table of large batches."""
    yield head("data", "net", "stage", "batch", "ica", "CPU s", "fully-connected", "spear")
    nets = (("tanh 512", 512, nn.Tanh), ("ReLU 512", 512, nn.ReLU))
    for data in SETS:
        for name, width, act in nets:
            for stage in STAGES:
                net = model(data, width, 1, stage, act)
                for size in sizes:
                    rates = [large_rates(data, net, size, seed, act) for seed in range(seeds)]
                    mean = [sum(column) / seeds for column in zip(*rates, strict=True)]
                    spear = f"{mean[3]:.2f}" if _spear_runs(size, act) else "-"
                    figures = f"{mean[0]:.2f}", f"{mean[1]:.1f}", f"{mean[2]:.2f}", spear
                    yield line([data, name, stage, size, *figures])


def _spear_runs(size: int, act: type[nn.Module]) -> bool:
    """Return whether the net and the batch are for SPEAR."""
    return act is nn.ReLU and size <= Spear().largest_search


def large_rates(
    data: str, net: nn.Module, size: int, seed: int, act: type[nn.Module]
) -> tuple[float, float, float, float]:
    """Return identification by ica, its CPU seconds, by fully-connected and by spear."""
    batch = victims(data, size, seed)
    candidates = torch.cat([batch.x, images(data)[0][GALLERY].x[: CANDIDATES - size]])

    def rate(attack: Any) -> tuple[float, float]:
        """Return an attack's identification rate, and its CPU seconds."""
        claim, cpu = inverted(attack, net, batch)
        return float(identified(claim.inputs, batch.x, candidates).double().mean()), cpu

    ica, cpu = rate(ICA())
    direct, _ = rate(FullyConnected())
    spear = rate(Spear(passes=2))[0] if _spear_runs(size, act) else 0.0
    return ica, cpu, direct, spear


def main() -> None:
    """Print the page, line by line."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
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
