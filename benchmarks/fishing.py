"""Fishing one record out of batches of 64 and 256: Fashion-MNIST, trained networks.

    SEEPAGE_DATA=... python benchmarks/fishing.py [--only lenet] [--out ROWS.md]

For each batch: the cosine of the update, below the last layer, with that of the record that
weighs most in it, on the honest model and on the one that fishing sends; what the attack
brings back; and what the plain attack on the honest update brings back of the same batch.
Caught are the records whose weight in the fished gradient is .03 or more, or else the largest
one; identified is one that a reconstruction picks among 1,000 candidates (these records and
strangers). Batches are drawn at random, from records that neither training nor the attacker saw;
in the rows `lone` all but one record of class 8 are left out of them.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from image_sets import CLASSES, Images, images
from result_tables import head, line
from torch import Tensor, nn
from trained_nets import draws, trained
from victims import attacked, server, stepped_update

from seepage.attacks.inversion.active.catch import bait_class
from seepage.attacks.inversion.active.fishing import Fishing
from seepage.attacks.inversion.active.last_layer import last_layer
from seepage.attacks.inversion.exact.fully_connected import FullyConnected
from seepage.attacks.inversion.optimized.inverting_gradients import InvertingGradients
from seepage.core.claims import Reconstruction
from seepage.core.threat import Observer
from seepage.core.views import AuxiliaryData, BatchSize, ServerKnowledge, UpdateView
from seepage.models.convnet import ConvNet
from seepage.models.lenet import LeNet
from seepage.models.mlp import MLP

LR, STEPS, AUXILIARY, CANDIDATES, LONE = 0.1, 400, 1000, 1000, 8
NETS = {"mlp": MLP(width=512), "lenet": LeNet(), "convnet": ConvNet(norm="group", width=8)}
SEEDS = {"mlp": 20, "lenet": 20, "convnet": 20}
PLAIN = {"mlp": 20, "lenet": 10, "convnet": 3}
EXACT, RIGHT, HEARD = 60.0, 20.0, 0.03


def fashion() -> tuple[Images, Images, Images]:
    """Training, attacker's and clients' images, disjoint."""
    train, test = images("Fashion-MNIST")
    return train[:6000], test[:AUXILIARY], test[1000:]


def network(kind: str, data: Images) -> nn.Module:
    """Return a net that is trained on the data."""
    torch.manual_seed(0)
    model = NETS[kind](data.shape, CLASSES)
    rows = draws(len(data), 64, STEPS, torch.Generator().manual_seed(0))
    return trained(model, data, rows, lr=0.05, momentum=0.9)


def cosine(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    """Of two updates, below the last layer."""
    left, right = (torch.cat([v.flatten() for v in list(u.values())[:-2]]) for u in (a, b))
    return float(F.cosine_similarity(left, right, dim=0).nan_to_num())


def scored(
    claim: Reconstruction, batch: Tensor, caught: Tensor, strangers: Tensor
) -> dict[str, Any]:
    """Which of the caught records `[k, *shape]` a claim picks among strangers, and how well."""
    if not len(claim.inputs):
        return {"psnr": 0.0, "exact": 0, "identified": 0, "wrong": 0}
    gallery = torch.cat([caught, strangers])[:CANDIDATES].flatten(1)
    picked = squared(claim.inputs, gallery).argmin(1)
    best = -10 * squared(claim.inputs, caught).amin(0).clamp_min(1e-20).log10()
    nearest = squared(claim.inputs, batch).amin(1)
    return {
        "psnr": float(best.max()),
        "exact": int((best >= EXACT).sum()),
        "identified": len(set(picked[picked < len(caught)].tolist())),
        "wrong": int(claim.solved and bool((nearest > 10 ** (-RIGHT / 10)).any())),
    }


def squared(a: Tensor, b: Tensor) -> Tensor:
    """Mean squared differences `[len(a), len(b)]`."""
    return torch.stack([(b.flatten(1) - r.flatten()).square().mean(1) for r in a])


def one(kind: str, model: nn.Module, aux: Images, held: Images, mode: str, size: int, seed: int,
        plain: bool) -> dict[str, Any]:  # fmt: skip
    """Fish in one batch of the held images; if `plain`, also attack the honest update."""
    rng = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(held), generator=rng)
    if mode == "lone":
        own, others = order[held.y[order] == LONE], order[held.y[order] != LONE]
        order = torch.cat([own[:1], others])
    batch, strangers = held[order[:size]], held.x[order[size:]]
    facts = BatchSize(size), AuxiliaryData(aux.x, aux.y)
    common = server(aux.shape, *facts, lr=LR, observer=Observer.MALICIOUS_SERVER)
    attack = Fishing() if mode == "feature" else Fishing(mode="class", target=LONE)
    start = time.process_time()
    bait = attack.act(ServerKnowledge(model=model, cohort=(0,), **common), rng).models[0]
    moved = time.process_time() - start
    fished, honest = (stepped_update(m, [batch], LR) for m in (bait, model))
    view = UpdateView(client=0, model=bait, update=fished, **common)
    layer = last_layer(view)
    target = bait_class(bait, layer)
    weights = (bait(batch.x).softmax(1)[:, target] - (batch.y == target).float()).detach().abs()
    top = batch[weights.argmax()[None]]
    caught = batch.x[weights >= min(HEARD, float(weights.max()))]
    claim, seconds = attacked(attack, view, rng)
    found = {
        "before": cosine(honest, stepped_update(model, [top], LR)),
        "after": cosine(fished, stepped_update(bait, [top], LR)),
        "share": float(weights.max() / weights.sum().clamp_min(1e-30)),
        "act": moved,
        "seconds": seconds,
        "solved": claim.solved,
        **scored(claim, batch.x, caught, strangers),
    }
    if plain:
        other = UpdateView(client=0, model=model, update=honest, **common)
        inversion = FullyConnected() if kind == "mlp" else InvertingGradients()
        claim, found["plain seconds"] = attacked(inversion, other, rng)
        result = scored(claim, batch.x, caught, strangers)
        found |= {f"plain {k}": result[k] for k in ("psnr", "exact", "identified")}
    return found


def row(kind: str, mode: str, size: int, runs: list[dict[str, Any]]) -> str:
    """Return the table's line for the runs of one cell."""

    def mid(key: str) -> float:
        """Return the median over the runs that have the key."""
        return median(r[key] for r in runs if key in r)

    def mean(key: str) -> float:
        """Return the mean over the runs that have the key."""
        values = [r[key] for r in runs if key in r]
        return sum(values) / len(values)

    some = sum(r["identified"] > 0 for r in runs)
    cells = [
        kind, mode, str(size), str(len(runs)), f"{mid('before'):.2f}", f"{mid('after'):.4f}",
        f"{sum(r['share'] > 0.9 for r in runs)}", f"{some}", f"{mean('identified'):.1f}",
        f"{mean('exact'):.1f}", f"{mid('psnr'):.1f}", f"{sum(r['solved'] for r in runs)}",
        f"{sum(r['wrong'] for r in runs)}", f"{mid('act') + mid('seconds'):.1f}",
    ]  # fmt: skip
    if any("plain psnr" in r for r in runs):
        cells += [f"{mean('plain identified'):.1f}", f"{mean('plain exact'):.1f}",
                  f"{mid('plain psnr'):.1f}", f"{mid('plain seconds'):.1f}"]  # fmt: skip
    else:
        cells += ["not run"] * 4
    return line(cells)


HEADER = head(
    "net", "mode", "batch", "batches", "cosine before", "after", "one record > 90 %",
    "batches with a record identified", "identified a batch", "exact a batch", "best PSNR",
    "solved", "wrongly solved", "CPU s", "plain: identified a batch", "exact", "best PSNR",
    "CPU s",
)  # fmt: skip


def main() -> None:
    """Print the table, line by line."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--only", default="", help="nets whose name has this")
    parser.add_argument("--out", type=Path, help="append the table's rows to this file")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    train, aux, held = fashion()
    print(HEADER, flush=True)
    for kind in (k for k in NETS if arguments.only in k):
        model = network(kind, train)
        for mode in ("lone", "feature"):
            for size in (64, 256):
                runs = [
                    one(kind, model, aux, held, mode, size, seed, seed < PLAIN[kind] and size < 256)
                    for seed in range(SEEDS[kind])
                ]
                shown = row(kind, mode, size, runs)
                print(shown, flush=True)
                if arguments.out:
                    with arguments.out.open("a") as file:
                        file.write(shown + "\n")


if __name__ == "__main__":
    main()
