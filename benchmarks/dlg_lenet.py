"""DLG against the sigmoid LeNet of its authors: one CIFAR-10 image, label unknown.

    SEEPAGE_DATA=... python benchmarks/dlg_lenet.py > benchmarks/results/dlg_lenet.md

Each case has a fresh model and an image of its own. The attack sees the model and one
client's update, may start 4 times, and returns the start with the least objective.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

import cifar10
import torch
import torch.nn.functional as F

from seepage.attacks.inversion.optimized.dlg import DLG
from seepage.core.intervals import clopper_pearson
from seepage.core.threat import Observer
from seepage.core.views import BatchSize, JobFacts, UpdateView
from seepage.metrics.reconstruction import psnr
from seepage.models import api

CASES = 20
LR = 0.1
RESTARTS = 4
WANTED_DB = 25.0


@dataclass(frozen=True)
class Outcome:
    """One case: the image and what was made of it."""

    seed: int
    psnr: float
    label: bool
    objective: float
    solved: bool
    seconds: float


def main() -> None:
    torch.set_num_threads(1)
    inputs, labels = cifar10.load()
    pixels = torch.as_tensor(inputs).float()
    images = pixels / 255 if float(pixels.max()) > 1 else pixels
    targets = torch.as_tensor(labels).long()
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    chosen = enumerate(order[:CASES])
    outcomes = [run(seed, images[i][None], targets[i][None]) for seed, i in chosen]
    print(table(outcomes))


def run(seed: int, image: torch.Tensor, label: torch.Tensor) -> Outcome:
    rng = torch.Generator().manual_seed(seed)
    settings = {"activation": "sigmoid"}
    model = api.build("lenet", settings, input_shape=(3, 32, 32), classes=10, rng=rng)
    loss = F.cross_entropy(model(image), label)
    slopes = torch.autograd.grad(loss, list(model.parameters()))
    names = [name for name, _ in model.named_parameters()]
    view = UpdateView(
        observer=Observer.HONEST_SERVER,
        job=JobFacts(
            input_shape=(3, 32, 32),
            classes=10,
            value_range=(0.0, 1.0),
            clients=8,
            cohort=8,
            local_steps=1,
            lr=LR,
        ),
        loss=F.cross_entropy,
        facts=(BatchSize(1),),
        round=0,
        client=0,
        model=model,
        update={name: -LR * slope for name, slope in zip(names, slopes, strict=True)},
    )
    started = time.process_time()
    claim = DLG(restarts=RESTARTS)(view, rng)
    seconds = time.process_time() - started
    found = claim.labels is not None and claim.labels.tolist() == label.tolist()
    error = float(psnr(claim.inputs, image))
    return Outcome(seed, error, found, claim.objective, claim.solved, seconds)


def table(outcomes: list[Outcome]) -> str:
    good = sum(o.psnr >= WANTED_DB for o in outcomes)
    low, high = clopper_pearson(good, len(outcomes))
    lines = [
        "## DLG on one CIFAR-10 image, sigmoid LeNet, untrained, label unknown",
        "",
        f"{DLG(restarts=RESTARTS)!r}, one CPU thread; the start with the least objective counts.",
        "",
        f"**{good} of {len(outcomes)} at {WANTED_DB:g} dB or more** (95 % interval "
        f"{low:.2f} to {high:.2f}), median {statistics.median(o.psnr for o in outcomes):.1f} dB, "
        f"median {statistics.median(o.seconds for o in outcomes):.1f} CPU seconds.",
        "",
        "| case | PSNR (dB) | label | relative distance | says solved | CPU seconds |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {o.seed} | {o.psnr:.1f} | {'right' if o.label else 'wrong'} | {o.objective:.1e} | "
        f"{'yes' if o.solved else 'no'} | {o.seconds:.1f} |"
        for o in outcomes
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
