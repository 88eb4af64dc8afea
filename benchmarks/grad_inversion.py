"""GradInversion beside InvertingGradients on CIFAR-10, on nets with batch normalization.

    SEEPAGE_DATA=... python benchmarks/grad_inversion.py [--rows ROWS.jsonl]

One honest client takes one local step; the server sees the update with its buffers, knows
the batch size and has 500 other images, and recovers the labels. Victims are the same for
both attacks; both search from the starts that their defaults say. Rows that are in ROWS
already are not computed again. Each cell takes minutes of CPU at most.
"""

from __future__ import annotations

import argparse
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from image_sets import CLASSES, Images, images
from result_tables import head, line, record, recorded
from torch import nn
from trained_nets import draws, trained
from victims import attacked, gradient_update, matched, server

from seepage.core.intervals import Rate
from seepage.core.registry import card
from seepage.core.views import AuxiliaryData, BatchSize, UpdateView
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
LR, VICTIMS = 0.05, 4000


def known() -> Images:
    """Return all 10,000 images, shuffled."""
    return images("CIFAR-10")[0]


@cache
def network(net: str, steps: int) -> nn.Module:
    """The net after `steps` of SGD, batch 64, on images that are neither victims nor known."""
    name, settings = NETS[net]
    rng = torch.Generator().manual_seed(0)
    data = known()[VICTIMS + 1000 : -1000]
    model = build(name, settings, input_shape=data.shape, classes=CLASSES, rng=rng)
    return trained(model, data, draws(len(data), 64, steps, rng), lr=0.05, momentum=0.9)


def view_of(model: nn.Module, batch: Images) -> UpdateView:
    """The honest server's view of one local step."""
    held = known()[VICTIMS : VICTIMS + 500]
    facts = BatchSize(len(batch)), AuxiliaryData(held.x, held.y)
    update = gradient_update(model, batch, LR)
    return UpdateView(client=0, model=model, update=update, **server(held.shape, *facts, lr=LR))


def measure(net: str, stage: str, size: int, name: str, number: int) -> dict[str, Any]:
    """Attack one batch and return its row."""
    # Development used the first images of the shuffled set: these are others.
    rows = torch.arange(number * size, (number + 1) * size) + 1000
    batch = known()[rows]
    view = view_of(network(net, STAGES[stage]), batch)
    attack = card("attacks", name).build({})
    claim, seconds = attacked(attack, view, torch.Generator().manual_seed(number))
    candidates = torch.cat([batch.x, known().x[-(1000 - size) :]])
    hits = identified(claim.inputs, batch.x, candidates)
    return {
        "net": net, "stage": stage, "batch": size, "attack": name, "number": number,
        "psnr": psnr(*matched(claim.inputs, batch.x)).tolist(),
        "identified": float(hits.double().mean()), "solved": claim.solved, "seconds": seconds,
    }  # fmt: skip


def table(rows: list[dict[str, Any]]) -> str:
    """The recorded table, in Markdown."""
    lines = [
        head(
            "net", "weights", "batch", "attack", "images", "identified among 1,000",
            "PSNR, mean dB", "PSNR, range", "CPU s a batch",
        )
    ]  # fmt: skip
    cells: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        cells.setdefault((row["net"], row["stage"], row["batch"], row["attack"]), []).append(row)
    for (net, stage, size, name), found in cells.items():
        rate = Rate(np.array([row["identified"] for row in found]))
        low, high = rate.interval()
        decibels = [value for row in found for value in row["psnr"]]
        seconds = float(np.median([row["seconds"] for row in found]))
        figures = [
            f"{rate.value:.2f} [{low:.2f}, {high:.2f}]",
            f"{np.mean(decibels):.1f}",
            f"{min(decibels):.1f} to {max(decibels):.1f}",
            f"{seconds:.1f}",
        ]
        lines.append(line([net, stage, size, f"`{name}`", len(decibels), *figures]))
    return "\n".join(lines)


def main() -> None:
    """Compute what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=Path, default=Path("seepage-runs/grad_inversion.jsonl"))
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    chosen.rows.parent.mkdir(parents=True, exist_ok=True)
    done = recorded(chosen.rows)
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
                        record(chosen.rows, row)
                    rows.append(row)
    print(table(rows))


if __name__ == "__main__":
    main()
