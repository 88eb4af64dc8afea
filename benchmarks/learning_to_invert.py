"""Learning-to-Invert on Fashion-MNIST: fresh and trained nets, undefended and defended.

The attacker holds 5,000 auxiliary records. Each update is attacked by the adaptive attack,
by one that does not simulate the defense, and (fewer of them) by Inverting Gradients; the
prior is the mean auxiliary record of the right class. Rates are among 1,000 candidates.
Each attack on each update is one line of the log, so that the same command resumes.

    SEEPAGE_DATA=... python benchmarks/learning_to_invert.py --log RUN.jsonl
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from image_sets import CLASSES, Images, images
from result_tables import head, interval, line, record, recorded
from torch import Tensor, nn
from trained_nets import epochs, trained
from victims import attacked, gradient_update, matched, server

from seepage.attacks.inversion.learned.learning_to_invert import LearningToInvert
from seepage.attacks.inversion.optimized.inverting_gradients import InvertingGradients
from seepage.core.claims import Reconstruction
from seepage.core.defense import Defense
from seepage.core.views import AuxiliaryData, BatchSize, UpdateView
from seepage.defenses.dp.local_dp import LocalDP
from seepage.defenses.top_k import TopK
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
def fashion() -> tuple[Images, Images]:
    """Return the training images, and the shuffled test images."""
    train, test = images("Fashion-MNIST")
    return train, test[torch.from_numpy(np.random.default_rng(SEED).permutation(len(test)))]


@cache
def model_at(name: str, stage: str) -> nn.Module:
    """Return a fresh net, or one after 3 epochs of SGD on 8,000 records that nobody attacks."""
    rng = torch.Generator().manual_seed(SEED)
    known = fashion()[0][10_000:18_000]
    model = build(name, MODELS[name], input_shape=known.shape, classes=CLASSES, rng=rng)
    passes = 0 if stage == "fresh" else 3
    return trained(model, known, epochs(len(known), 32, passes, rng), lr=LR)


def view_of(model: nn.Module, rows: Tensor, defense: Defense | None, seed: int) -> UpdateView:
    """Return the honest server's view of one step on these test records."""
    train, test = fashion()
    held = train[:AUXILIARY]
    update = gradient_update(model, test[rows], LR)
    if defense is not None:
        update = dict(defense.protect_update(update, torch.Generator().manual_seed(seed)))
    facts = BatchSize(len(rows)), AuxiliaryData(held.x, held.y)
    return UpdateView(
        defenses=() if defense is None else (defense.card,),
        client=0,
        model=model,
        update=update,
        **server(held.shape, *facts, lr=LR, clients=1),
    )


def attack_of(name: str, labels: Tensor) -> Any:
    """Return an attack by the name that it has here; the class mean is told the labels."""

    def class_mean(*_: Any) -> Reconstruction:
        """Claim the mean auxiliary record of each label."""
        held = fashion()[0][:AUXILIARY]
        return Reconstruction(inputs=torch.stack([held.x[held.y == c].mean(0) for c in labels]))

    if name == "class mean":
        return class_mean
    if name == "inverting-gradients":
        return InvertingGradients()
    return LearningToInvert(adaptive=name == "learning-to-invert")


def measured(attack: str, view: UpdateView, rows: Tensor, null: Tensor) -> dict[str, Any]:
    """Attack the update of some test records and return what came of it."""
    test = fashion()[1]
    own, strangers = test[rows], test.x[null]
    rng = torch.Generator().manual_seed(SEED)
    claim, seconds = attacked(attack_of(attack, own.y), view, rng)
    rivals = test.x[-CANDIDATES + len(rows) :]
    told = [] if claim.labels is None else sorted(claim.labels.tolist())
    return {
        "rate": float(identified(claim.inputs, own.x, rivals).float().mean()),
        "null": float(identified(claim.inputs, strangers, rivals).float().mean()),
        "mse": float(mse(*matched(claim.inputs, own.x)).mean()),
        "labels": told == sorted(own.y.tolist()),
        "solved": claim.solved,
        "seconds": seconds,
        "explanation": claim.explanation,
    }


def run(log: Path, options: argparse.Namespace) -> None:
    """Run what is not in the log yet."""
    done = {tuple(row[key] for key in KEYS) for row in recorded(log)}
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
                    record(log, {**dict(zip(KEYS, key, strict=True)), **row})


def table(log: Path) -> Iterator[str]:
    """Yield the lines of the table: a row for each cell and attack."""
    found = recorded(log)
    yield head(
        "batch", "model", "stage", "defense", "attack", "n", "identification rate", "null", "MSE",
        "labels right", "solved (of these right)", "CPU seconds, first / median",
    )  # fmt: skip
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
        yield line(
            [
                *cell,
                len(own),
                interval([r["rate"] for r in own]),
                f"{np.mean([r['null'] for r in own]):.3f}",
                f"{np.mean([r['mse'] for r in own]):.4f}",
                f"{np.mean([r['labels'] for r in own]):.2f}",
                f"{len(solved)} ({sum(r['rate'] == 1 for r in solved)})",
                f"{seconds[0]:.1f} / {np.median(seconds):.2f}",
            ]
        )


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
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
