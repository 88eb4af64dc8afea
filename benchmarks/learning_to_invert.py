"""Learning-to-Invert on Fashion-MNIST: fresh and trained nets, undefended and defended.

The attacker holds 5,000 auxiliary records. Each update is attacked by the adaptive attack,
by one that does not simulate the defense, and (fewer of them) by Inverting Gradients; the
prior is the mean auxiliary record of the right class. Rates are among 1,000 candidates.
Each attack on each update is one line of the log, so that the same command resumes.

    SEEPAGE_DATA=... python benchmarks/learning_to_invert.py --log RUN.jsonl
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seepage.attacks.inversion.learned.learning_to_invert import LearningToInvert
from seepage.attacks.inversion.optimized.inverting_gradients import InvertingGradients
from seepage.core.claims import Reconstruction
from seepage.core.defense import Defense
from seepage.core.intervals import bootstrap
from seepage.core.threat import Observer
from seepage.core.views import AuxiliaryData, BatchSize, JobFacts, UpdateView
from seepage.data.files import data_folder
from seepage.defenses.local_dp import LocalDP
from seepage.defenses.top_k import TopK
from seepage.metrics.matching import match
from seepage.metrics.reconstruction import identified, mse
from seepage.models.api import build

AUXILIARY, CANDIDATES, SEED, LR = 5000, 1000, 0, 0.1
MODELS: dict[str, dict[str, Any]] = {"lenet": {}, "mlp": {"width": 128}}
STAGES = ("fresh", "trained")
# Noise is given relative to the clipping norm, which no gradient of a fresh net is below.
DEFENSES: dict[str, Defense | None] = {
    "none": None,
    "top-k 10 %": TopK(fraction=0.1),
    "top-k 1 %": TopK(fraction=0.01),
    "local-dp .003": LocalDP(noise_multiplier=0.003, max_norm=0.1 * LR),
    "local-dp .01": LocalDP(noise_multiplier=0.01, max_norm=0.1 * LR),
    "local-dp .03": LocalDP(noise_multiplier=0.03, max_norm=0.1 * LR),
}
AT_BATCHES = ("none", "top-k 1 %", "local-dp .01")
ATTACKS = ("learning-to-invert", "not adaptive", "inverting-gradients", "class mean")
KEYS = ("model", "stage", "batch", "defense", "update", "attack")


@cache
def fashion() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return training images and labels, and shuffled test images and labels, in 0..1."""
    with np.load(data_folder() / "images/fashion_mnist/fashion_mnist_30k_10k.npz") as file:
        x, y, u, v = (file[name] for name in ("x_train", "y_train", "x_test", "y_test"))
    order = np.random.default_rng(SEED).permutation(len(v))
    scaled = [torch.tensor(a, dtype=torch.float32)[:, None] / 255 for a in (x, u[order])]
    labels = [torch.tensor(a.astype("int64")) for a in (y, v[order])]
    return scaled[0], labels[0], scaled[1], labels[1]


@cache
def model_at(name: str, stage: str) -> nn.Module:
    """Return a fresh net, or one after 3 epochs of SGD on 8,000 records that nobody attacks."""
    rng = torch.Generator().manual_seed(SEED)
    model = build(name, MODELS[name], input_shape=(1, 28, 28), classes=10, rng=rng)
    if stage == "fresh":
        return model
    x, y = (part[10_000:18_000] for part in fashion()[:2])
    optimizer = torch.optim.SGD(model.parameters(), LR)
    for _ in range(3):
        for batch in torch.randperm(len(x), generator=rng).split(32):
            optimizer.zero_grad()
            F.cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()
    return model


def view_of(model: nn.Module, rows: Tensor, defense: Defense | None, seed: int) -> UpdateView:
    """Return the honest server's view of one step on these test records."""
    x, y, u, v = fashion()
    parameters = dict(model.named_parameters())
    loss = F.cross_entropy(model(u[rows]), v[rows])
    slopes = torch.autograd.grad(loss, list(parameters.values()))
    update = {n: -LR * s for n, s in zip(parameters, slopes, strict=True)}
    if defense is not None:
        update = dict(defense.protect_update(update, torch.Generator().manual_seed(seed)))
    return UpdateView(
        observer=Observer.HONEST_SERVER,
        job=JobFacts(
            input_shape=(1, 28, 28),
            classes=10,
            value_range=(0.0, 1.0),
            clients=1,
            cohort=1,
            local_steps=1,
            lr=LR,
        ),
        loss=F.cross_entropy,
        defenses=() if defense is None else (defense.card,),
        facts=(BatchSize(len(rows)), AuxiliaryData(x[:AUXILIARY], y[:AUXILIARY])),
        round=0,
        client=0,
        model=model,
        update=update,
    )


def claim_of(attack: str, view: UpdateView, labels: Tensor) -> Reconstruction:
    rng = torch.Generator().manual_seed(SEED)
    if attack == "inverting-gradients":
        return InvertingGradients()(view, rng)
    if attack == "class mean":
        x, y = (part[:AUXILIARY] for part in fashion()[:2])
        return Reconstruction(inputs=torch.stack([x[y == c].mean(0) for c in labels]))
    return LearningToInvert(adaptive=attack == "learning-to-invert")(view, rng)


def measured(attack: str, view: UpdateView, rows: Tensor, null: Tensor) -> dict[str, Any]:
    u, v = fashion()[2:]
    started = time.process_time()
    claim = claim_of(attack, view, v[rows])
    seconds = time.process_time() - started
    rivals = u[-CANDIDATES + len(rows) :]
    mine, true = (list(column) for column in zip(*match(claim.inputs, u[rows]), strict=True))
    told = [] if claim.labels is None else sorted(claim.labels.tolist())
    return {
        "rate": float(identified(claim.inputs, u[rows], rivals).float().mean()),
        "null": float(identified(claim.inputs, u[null], rivals).float().mean()),
        "mse": float(mse(claim.inputs[mine], u[rows][true]).mean()),
        "labels": told == sorted(v[rows].tolist()),
        "solved": claim.solved,
        "seconds": seconds,
        "explanation": claim.explanation,
    }


def run(log: Path, options: argparse.Namespace) -> None:
    done = {tuple(row[key] for key in KEYS) for row in rows_of(log)}
    deadline = time.monotonic() + options.seconds
    for batch, updates, rare in ((1, options.updates, 10), (4, options.updates // 5, 4)):
        for model, stage, (name, defense) in product(options.models, STAGES, DEFENSES.items()):
            if batch > 1 and name not in AT_BATCHES:
                continue
            for update in range(updates):
                rows, null = (
                    torch.arange(k * batch, (k + 1) * batch) for k in (update, update + 100)
                )
                for attack in ATTACKS:
                    key = (model, stage, batch, name, update, attack)
                    few = attack == "inverting-gradients" and update >= rare
                    plain = attack == "not adaptive" and defense is None
                    if key in done or few or plain or time.monotonic() > deadline:
                        continue
                    view = view_of(model_at(model, stage), rows, defense, update)
                    row = measured(attack, view, rows, null)
                    with log.open("a") as file:
                        named = dict(zip(KEYS, key, strict=True))
                        file.write(json.dumps({**named, **row}) + "\n")


def rows_of(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def interval(values: list[float]) -> str:
    """Return a mean with its bootstrap interval over updates."""
    found = bootstrap(
        lambda draws: draws.mean(1), [np.array(values)], np.random.default_rng(0), resamples=4000
    )
    low, high = found.interval()
    return f"{found.value:.2f} [{low:.2f}, {high:.2f}]"


def table(log: Path) -> Iterator[str]:
    """Yield the lines of the table: a row for each cell and attack."""
    found = rows_of(log)
    yield (
        "| batch | model | stage | defense | attack | n | identification rate | null | MSE "
        "| labels right | solved (of these right) | CPU seconds, first / median |"
    )
    yield "|" + "---|" * 12
    cells = dict.fromkeys(
        (r["batch"], r["model"], r["stage"], r["defense"], r["attack"]) for r in found
    )
    for cell in sorted(cells, key=lambda c: (c[0], c[1], c[2], list(DEFENSES).index(c[3]))):
        own = [
            r
            for r in found
            if (r["batch"], r["model"], r["stage"], r["defense"], r["attack"]) == cell
        ]
        solved = [r for r in own if r["solved"]]
        seconds = [r["seconds"] for r in own]
        yield (
            "| "
            + " | ".join(
                [
                    *map(str, cell),
                    str(len(own)),
                    interval([r["rate"] for r in own]),
                    f"{np.mean([r['null'] for r in own]):.3f}",
                    f"{np.mean([r['mse'] for r in own]):.4f}",
                    f"{np.mean([r['labels'] for r in own]):.2f}",
                    f"{len(solved)} ({sum(r['rate'] == 1 for r in solved)})",
                    f"{seconds[0]:.1f} / {np.median(seconds):.2f}",
                ]
            )
            + " |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    parser.add_argument("--updates", type=int, default=20, help="at batch 1; a fifth at batch 4")
    parser.add_argument("--seconds", type=float, default=1e9, help="start no attack after these")
    options = parser.parse_args()
    torch.set_num_threads(1)
    run(options.log, options)
    print("\n".join(table(options.log)))


if __name__ == "__main__":
    main()
