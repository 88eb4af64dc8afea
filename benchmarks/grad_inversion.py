"""GradInversion beside InvertingGradients on CIFAR-10, on nets with batch normalization.

    SEEPAGE_DATA=... python benchmarks/grad_inversion.py [--rows ROWS.jsonl]

One honest client takes one local step; the server sees the update with its buffers, knows
the batch size and has 500 other images, and recovers the labels. Victims are the same for
both attacks; both search from the starts that their defaults say. Rows that are in ROWS
already are not computed again. Each cell takes minutes of CPU at most.
"""

from __future__ import annotations

import argparse
import json
import time
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import cifar10
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seepage.core.intervals import Rate
from seepage.core.registry import card
from seepage.core.threat import Observer
from seepage.core.views import AuxiliaryData, BatchSize, JobFacts, UpdateView
from seepage.metrics.matching import match
from seepage.metrics.reconstruction import identified, psnr
from seepage.models.api import build

NETS: dict[str, tuple[str, dict[str, Any]]] = {
    "ConvNet, width 16": ("convnet", {"width": 16}),
    "ResNet-20": ("resnet20", {}),
}
ATTACKS = ("inverting-gradients", "grad-inversion")
BATCHES = {("ConvNet, width 16", 1): 10, ("ConvNet, width 16", 8): 2,
           ("ResNet-20", 1): 5, ("ResNet-20", 8): 1}  # fmt: skip
STAGES = {"fresh": 0, "after 300 steps": 300}
SHAPE, LR, VICTIMS = (3, 32, 32), 0.05, 4000


@cache
def images() -> tuple[Tensor, Tensor]:
    """Images `[10000, 3, 32, 32]` in 0..1 and labels, shuffled."""
    inputs, labels = cifar10.load()
    return torch.from_numpy(inputs), torch.from_numpy(labels).long()


@cache
def network(net: str, steps: int) -> nn.Module:
    """The net after `steps` of SGD, batch 64, on images that are neither victims nor known."""
    name, settings = NETS[net]
    rng = torch.Generator().manual_seed(0)
    model = build(name, settings, input_shape=SHAPE, classes=10, rng=rng).train()
    x, y = (t[VICTIMS + 1000 : -1000] for t in images())
    optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    for _ in range(steps):
        rows = torch.randint(len(x), (64,), generator=rng)
        optimizer.zero_grad()
        F.cross_entropy(model(x[rows]), y[rows]).backward()
        optimizer.step()
    return model


def view_of(model: nn.Module, x: Tensor, y: Tensor) -> UpdateView:
    """The honest server's view of one local step."""
    local = deepcopy(model)
    F.cross_entropy(local(x), y).backward()
    update = {n: -LR * p.grad for n, p in local.named_parameters() if p.grad is not None}
    old = model.state_dict()
    update |= {n: b - old[n] for n, b in local.named_buffers() if b.is_floating_point()}
    known = slice(VICTIMS, VICTIMS + 500)
    auxiliary = AuxiliaryData(images()[0][known], images()[1][known])
    return UpdateView(
        observer=Observer.HONEST_SERVER,
        job=JobFacts(
            input_shape=SHAPE, classes=10, value_range=(0.0, 1.0), clients=8, cohort=8,
            local_steps=1, lr=LR,
        ),
        loss=F.cross_entropy, facts=(BatchSize(len(x)), auxiliary), round=0, client=0,
        model=model, update=update,
    )  # fmt: skip


def measure(net: str, stage: str, size: int, name: str, number: int) -> dict[str, Any]:
    """Attack one batch and return its row."""
    # Development used the first images of the shuffled set: these are others.
    rows = torch.arange(number * size, (number + 1) * size) + 1000
    x, y = images()[0][rows], images()[1][rows]
    view = view_of(network(net, STAGES[stage]), x, y)
    began = time.process_time()
    claim = card("attacks", name).build({})(view, torch.Generator().manual_seed(number))
    seconds = time.process_time() - began
    i, j = (list(column) for column in zip(*match(claim.inputs, x), strict=True))
    hits = identified(claim.inputs, x, torch.cat([x, images()[0][-(1000 - size) :]]))
    return {
        "net": net, "stage": stage, "batch": size, "attack": name, "number": number,
        "psnr": psnr(claim.inputs[i], x[j]).tolist(), "identified": float(hits.double().mean()),
        "solved": claim.solved, "seconds": seconds,
    }  # fmt: skip


def table(rows: list[dict[str, Any]]) -> str:
    """The recorded table, in Markdown."""
    lines = [
        "| net | weights | batch | attack | images | identified among 1,000 | PSNR, mean dB "
        "| PSNR, range | CPU s a batch |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    cells: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        cells.setdefault((row["net"], row["stage"], row["batch"], row["attack"]), []).append(row)
    for (net, stage, size, name), found in cells.items():
        rate = Rate(np.array([row["identified"] for row in found]))
        low, high = rate.interval()
        decibels = [value for row in found for value in row["psnr"]]
        seconds = float(np.median([row["seconds"] for row in found]))
        lines.append(
            f"| {net} | {stage} | {size} | `{name}` | {len(decibels)} "
            f"| {rate.value:.2f} [{low:.2f}, {high:.2f}] | {np.mean(decibels):.1f} "
            f"| {min(decibels):.1f} to {max(decibels):.1f} | {seconds:.1f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Compute what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=Path, default=Path("seepage-runs/grad_inversion.jsonl"))
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    chosen.rows.parent.mkdir(parents=True, exist_ok=True)
    done = [json.loads(line) for line in chosen.rows.read_text().splitlines()] if (
        chosen.rows.exists()) else []  # fmt: skip
    rows: list[dict[str, Any]] = []
    for (net, size), count in BATCHES.items():
        for stage in STAGES:
            for name in ATTACKS:
                for number in range(count):
                    key = {"net": net, "stage": stage, "batch": size, "attack": name,
                           "number": number}  # fmt: skip
                    row = next((r for r in done if key.items() <= r.items()), None)
                    if row is None:
                        row = measure(net, stage, size, name, number)
                        with chosen.rows.open("a") as file:
                            file.write(json.dumps(row) + "\n")
                    rows.append(row)
    print(table(rows))


if __name__ == "__main__":
    main()
