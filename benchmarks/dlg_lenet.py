"""DLG against the sigmoid LeNet of its authors: one CIFAR-10 image, label unknown.

    SEEPAGE_DATA=... python benchmarks/dlg_lenet.py > benchmarks/results/dlg_lenet.md

Each case has a fresh model and an image of its own. The attack sees the model and one
client's update, may start 4 times, and returns the start with the least objective.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass

import torch
from image_sets import CLASSES, Images, images
from result_tables import head, line
from victims import attacked, gradient_update, server

from seepage.attacks.inversion.optimized.dlg import DLG
from seepage.core.intervals import clopper_pearson
from seepage.core.views import BatchSize, UpdateView
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
    """Attack every case and print the table."""
    torch.set_num_threads(1)
    known, _ = images("CIFAR-10")
    order = torch.randperm(len(known), generator=torch.Generator().manual_seed(0))
    chosen = [Images(known.x[row][None], known.y[row][None]) for row in order[:CASES]]
    print(table([run(seed, image) for seed, image in enumerate(chosen)]))


def run(seed: int, image: Images) -> Outcome:
    """Attack one image with a fresh model."""
    rng = torch.Generator().manual_seed(seed)
    settings = {"activation": "sigmoid"}
    model = api.build("lenet", settings, input_shape=image.shape, classes=CLASSES, rng=rng)
    common = server(image.shape, BatchSize(1), lr=LR)
    update = gradient_update(model, image, LR)
    view = UpdateView(client=0, model=model, update=update, **common)
    claim, seconds = attacked(DLG(restarts=RESTARTS), view, rng)
    found = claim.labels is not None and claim.labels.tolist() == image.y.tolist()
    error = float(psnr(claim.inputs, image.x))
    return Outcome(seed, error, found, claim.objective, claim.solved, seconds)


def table(outcomes: list[Outcome]) -> str:
    """Return the page: how many are right, and a line for each case."""
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
        head("case", "PSNR (dB)", "label", "relative distance", "says solved", "CPU seconds"),
    ]
    for o in outcomes:
        label, solved = "right" if o.label else "wrong", "yes" if o.solved else "no"
        cells = o.seed, f"{o.psnr:.1f}", label, f"{o.objective:.1e}", solved, f"{o.seconds:.1f}"
        lines.append(line(cells))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
