"""Imprint and trap weights: which images come back, counted against what fell where.

Ten draws a line, Fashion-MNIST and CIFAR-10, fresh and trained models; victims, training
data and the server's auxiliary data are disjoint. An image is alone where one of its bins
holds no other; it is back at 40 dB or more.

    SEEPAGE_DATA=... python benchmarks/imprint.py > benchmarks/results/imprint.md
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from image_sets import CLASSES, SETS, images
from result_tables import head, line
from torch import Tensor, nn
from trained_nets import draws, trained
from victims import attacked, server, stepped_update

from seepage.attacks.inversion.active.imprint import Imprint
from seepage.attacks.inversion.active.trap_weights import TrapWeights
from seepage.attacks.inversion.exact.fully_connected import FullyConnected
from seepage.core.claims import Reconstruction
from seepage.core.threat import Observer
from seepage.core.views import AggregateView, AuxiliaryData, BatchSize, ServerKnowledge, UpdateView
from seepage.metrics.matching import match
from seepage.metrics.reconstruction import psnr
from seepage.models import api as models

SEEDS, LR, BACK = range(10), 0.1, 40.0
AUXILIARY, TRAINING, VICTIMS = slice(0, 1000), slice(1000, 4000), slice(4000, 10_000)


@cache
def model(data: str, name: str, steps: int, **settings: Any) -> nn.Module:
    """A model after `steps` of SGD with momentum, in training mode."""
    known = images(data)[0][TRAINING]
    rng = torch.Generator().manual_seed(1)
    built = models.build(name, settings, input_shape=known.shape, classes=CLASSES, rng=rng)
    return trained(built, known, draws(len(known), 32, steps, rng), lr=0.02, momentum=0.9)


@dataclass(frozen=True)
class Result:
    """A claim, the PSNR of each record in it, which records were alone, and CPU seconds."""

    claim: Reconstruction
    quality: Tensor
    alone: Tensor
    seconds: float


def trial(
    attack: Any,
    data: str,
    honest: nn.Module,
    batch: int,
    seed: int,
    *,
    clients: int = 1,
    steps: int = 1,
) -> Result:
    """One round under the attack's move, the claim, and the truth that it is held against."""
    known = images(data)[0]
    held = known[AUXILIARY]
    facts = BatchSize(batch), AuxiliaryData(held.x, held.y)
    common = server(
        held.shape,
        *facts,
        lr=LR,
        clients=clients,
        steps=steps,
        observer=Observer.MALICIOUS_SERVER,
    )
    rng = torch.Generator().manual_seed(seed)
    picked = VICTIMS.start + torch.randperm(VICTIMS.stop - VICTIMS.start, generator=rng)
    picked = picked[: batch * clients * steps]
    start = time.process_time()
    sent = honest
    if hasattr(attack, "act"):
        knowledge = ServerKnowledge(model=honest, cohort=tuple(range(clients)), **common)
        sent = attack.act(knowledge, rng).models[0]
    seconds = time.process_time() - start
    updates = [
        stepped_update(sent, [known[rows] for rows in own.split(batch)], LR, fused=False)
        for own in picked.split(batch * steps)
    ]
    if clients == 1:
        view: Any = UpdateView(client=0, model=sent, update=updates[0], **common)
    else:
        mean: dict[str, Any] = {n: sum(u[n] for u in updates) / clients for n in updates[0]}
        view = AggregateView(contributors=clients, model=sent, aggregate=mean, **common)
    claim, inverting = attacked(attack, view, rng)
    x = known.x[picked]
    quality = torch.zeros(len(picked), dtype=torch.float64)
    for i, j in match(claim.inputs, x):
        quality[j] = psnr(claim.inputs[i : i + 1], x[j : j + 1])[0]
    return Result(claim, quality, alone(sent, x), seconds + inverting)


def alone(sent: nn.Module, x: Tensor) -> Tensor:
    """Which records have a bin of some measurement to themselves, counted from the weights."""
    first = next(layer for layer in sent.modules() if isinstance(layer, nn.Linear))
    weight, bias = first.weight.detach().double(), first.bias.detach().double()
    heights = x.flatten(1).double() @ weight.T + bias
    window = next((m for m in sent.modules() if isinstance(m, nn.Hardtanh)), None)
    on = heights > 0
    if window is not None:
        falls = on & (heights < window.max_val)
    else:
        unit = F.normalize(weight, dim=1)
        last = torch.cat([(unit[1:] * unit[:-1]).sum(1) < 1 - 1e-6, torch.ones(1).bool()])
        falls = on & (last | ~torch.cat([on[:, 1:], on[:, :1]], dim=1))
    return (falls & (falls.sum(0) == 1)).any(1)


def expected(bins: int, measurements: int, records: int) -> float:
    """How many of the records are alone in a bin of some measurement, for uniform bins."""
    missed = 1.0
    for t in range(measurements):
        share = (bins - t + measurements - 1) // measurements
        missed *= 1 - (1 - 1 / share) ** (records - 1)
    return records * (1 - missed)


def row(label: str, attack: Any, bins: int, results: list[Result]) -> str:
    """Return a line of a table of imprints."""
    quality, single = (torch.cat([getattr(r, n) for r in results]) for n in ("quality", "alone"))
    back, n = quality >= BACK, len(results)
    records = len(quality) // n
    returned = sum(len(r.claim.inputs) for r in results)
    right = sum(r.claim.solved for r in results if bool((r.quality >= BACK).all()))
    cells = [
        label,
        f"{expected(bins, attack.measurements, records):.1f}",
        f"{int(single.sum()) / n:.1f}",
        f"**{int(back[single].sum())}/{int(single.sum())}**",
        f"{int(back[~single].sum())}/{int((~single).sum())}",
        f"{int(back.sum()) / n:.1f} of {records}",
        f"{(returned - int(back.sum())) / n:.1f}",
        f"{right}/{sum(r.claim.solved for r in results)}",
        f"{np.median([r.seconds for r in results]):.2f}",
    ]
    return line(cells)


HEAD = head(
    "job", "alone, expected", "alone, counted", "alone and back", "colliding and back",
    "back, all", "returned, not an image", "solved, rightly", "CPU s",
)  # fmt: skip


INTRODUCTION = """# Imprint and trap weights

Recorded from `python benchmarks/imprint.py`, ten draws a line where nothing else is said.
*Alone*: in some measurement no other record of the round shares its bin, counted from the
weights that were sent; *expected* is for uniform bins, with one measurement b (1 - 1/k)^(b-1).
*Back*: PSNR of 40 dB or more. With one measurement the images that collide are lost; with three,
which share the same number of neurons, most are resolved by subtraction. Batch normalization
keeps the attack from proving single records, so mixtures are returned as unproved ones."""


def jobs() -> Iterator[tuple[str, str, nn.Module]]:
    """Yield a name, the data and the honest model of each job."""
    for data in SETS:
        yield f"{data}, MLP 128, fresh", data, model(data, "mlp", 0)
        yield f"{data}, MLP 128, trained", data, model(data, "mlp", 1500)
        yield f"{data}, LeNet, trained", data, model(data, "lenet", 600)
        yield f"{data}, ConvNet 8 (batch norm), trained", data, model(data, "convnet", 300, width=8)


def imprints() -> None:
    """Print the paper's imprint, and three measurements, on single updates."""
    for bins, batch in ((64, 16), (256, 64)):
        for measurements, variant in ((1, "linear"), (1, "sparse"), (3, "linear"), (3, "sparse")):
            attack = Imprint(bins=bins, measurements=measurements, variant=variant)
            kind = "the paper's" if measurements == 1 else "three measurements"
            print(f"\n### {bins} bins, batch {batch}: {kind}, {variant}\n\n{HEAD}")
            for label, data, honest in jobs():
                results = [trial(attack, data, honest, batch, s) for s in SEEDS]
                print(row(label, attack, bins, results), flush=True)


def beyond() -> None:
    """Print fuller bins, secure sums, several local steps and altered weights."""
    attack = Imprint()
    print(f"\n### Fuller bins: 256, three measurements, sparse\n\n{HEAD}")
    for data in SETS:
        for name, settings in (("mlp", {}), ("convnet", {"width": 8})):
            honest = model(data, name, 300, **settings)
            for batch in (96, 128, 160, 192):
                results = [trial(attack, data, honest, batch, s) for s in SEEDS[:4]]
                print(row(f"{data}, {name}, batch {batch}", attack, 256, results), flush=True)
    print(f"\n### Secure sum and several local steps: 256 bins, three measurements\n\n{HEAD}")
    for label, data, honest in jobs():
        for case in ({"clients": 8, "batch": 8}, {"steps": 4, "batch": 8}):
            results = [trial(attack, data, honest, seed=s, **case) for s in SEEDS[:4]]
            what = ", ".join(f"{key} {value}" for key, value in case.items())
            print(row(f"{label}, {what}", attack, 256, results), flush=True)
    print(f"\n### Weights alone, no layer inserted: MLP of width 128, trained\n\n{HEAD}")
    attack = Imprint(insert=False)
    for data in SETS:
        for batch in (8, 16, 32, 64):
            honest = model(data, "mlp", 1500)
            results = [trial(attack, data, honest, batch, s) for s in SEEDS]
            print(row(f"{data}, batch {batch}", attack, 128, results), flush=True)


def traps() -> None:
    """Print trap weights beside a passive attack."""
    attacks = {
        "untouched model, passive": FullyConnected(largest_search=0, refits=0),
        "trap weights, the paper's": TrapWeights(subtract=False),
        "trap weights, subtracting": TrapWeights(),
    }
    print(f"\n### Trap weights on an MLP, three draws\n\n{head('job', *attacks)}")
    for data in SETS:
        for stage, steps in (("fresh", 0), ("trained", 1500)):
            for width in (256, 1024):
                honest = model(data, "mlp", steps, width=width)
                for batch in (8, 32, 64):
                    cells = [f"{data}, {stage}, width {width}, batch {batch}"]
                    for attack in attacks.values():
                        results = [trial(attack, data, honest, batch, s) for s in SEEDS[:3]]
                        back = torch.cat([r.quality for r in results]) >= BACK
                        seconds = np.median([r.seconds for r in results])
                        cells.append(f"{float(back.double().mean()):.2f} ({seconds:.2f} s)")
                    print(line(cells), flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(INTRODUCTION)
    imprints()
    beyond()
    traps()
