"""Inverts FedAvg updates of several local steps: SME, Inverting Gradients and unrolling.

Three attacks see the same updates of Fashion-MNIST jobs, LeNet and MLP, in the first and
in the last round. Rates and differences come with 95 % bootstrap intervals over updates.
Each attack on each update is one line of the log, so that the same command resumes.

    SEEPAGE_DATA=... python benchmarks/fedavg_inversion.py --log RUN.jsonl
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from image_sets import CLASSES, Images, images
from result_tables import head, interval, line, record, recorded
from torch import Tensor
from victims import attacked, matched

from seepage.attacks.inversion.optimized.inverting_gradients import InvertingGradients
from seepage.attacks.inversion.optimized.sme import SME
from seepage.attacks.inversion.optimized.unrolled_fedavg import UnrolledFedAvg
from seepage.core.claims import BatchTruth
from seepage.core.task import ClientData, Records, Task, Training
from seepage.core.threat import Observer
from seepage.core.views import UpdateView
from seepage.fl.engine import train
from seepage.fl.views import update_views
from seepage.metrics.attribute import multiset_hits
from seepage.metrics.reconstruction import identified, psnr
from seepage.models.api import build

CLIENTS, CANDIDATES, SEED = 24, 1000, 0
BEST_PSNR = 50.0
MODELS: dict[str, dict[str, Any]] = {"mlp": {"width": 256}, "lenet": {}}
ATTACKS = ("inverting-gradients", "sme", "unrolled-fedavg")
KEYS = ("model", "case", "stage", "client", "attack")


@dataclass(frozen=True)
class Case:
    """A job: local steps of a batch size, the records a client holds, and the training."""

    name: str
    steps: int
    batch: int
    held: int
    lr: float
    rounds: int

    @property
    def distinct(self) -> int:
        """How many records are behind an update."""
        return min(self.held, self.steps * self.batch)


CASES = (
    Case("2 steps of 1", 2, 1, 200, 0.02, 100),
    Case("5 steps of 1", 5, 1, 200, 0.02, 100),
    Case("5 steps of 8", 5, 8, 200, 0.05, 60),
    Case("5 steps of the same 8", 5, 8, 8, 0.05, 60),
)


def task(model: str, case: Case, data: Images) -> Task:
    """Return the job of a case."""

    def records(first: int, n: int) -> Records:
        """Return `n` records from the first on."""
        rows = torch.arange(first, first + n)
        return Records(inputs=data.x[rows], targets=data.y[rows], rows=rows)

    def built(rng: torch.Generator) -> torch.nn.Module:
        """Return a fresh model."""
        return build(model, MODELS[model], input_shape=data.shape, classes=CLASSES, rng=rng)

    clients = tuple(
        ClientData(
            name=str(c),
            train=records(c * case.held, case.held),
            holdout=records(10_000 + c * 10, 10),
        )
        for c in range(CLIENTS)
    )
    return Task(
        name=case.name,
        build=built,
        loss=torch.nn.CrossEntropyLoss(),
        clients=clients,
        auxiliary=records(25_000, 1000),
        training=Training(
            rounds=case.rounds, batch_size=case.batch, local_steps=case.steps, lr=case.lr
        ),
        classes=CLASSES,
        value_range=(0.0, 1.0),
    )


def prepared(name: str, view: UpdateView, case: Case) -> tuple[Any, UpdateView]:
    """Return an attack and its view; each is told how many records are behind the update."""
    told = case.distinct if case.distinct < case.steps * case.batch else 0
    if name == "sme":
        return SME(records=told), view
    if name == "unrolled-fedavg":
        return UnrolledFedAvg(records=told), view
    if told:
        job = replace(view.job, local_steps=1, lr=view.job.lr * case.steps)
        view = replace(view, job=job)
    return InvertingGradients(), view


def hits(inputs: Tensor, truth: Tensor, others: Tensor) -> float:
    """Return the share of the truth that is nearer to its match than the others are."""
    rivals = others[: CANDIDATES - len(truth)]
    return float(identified(inputs, truth, rivals).float().mean())


def measured(
    name: str, case: Case, view: UpdateView, truth: BatchTruth, null: Tensor, others: Tensor
) -> dict[str, Any]:
    """Attack one update and return what came of it."""
    inputs, labels = truth.inputs[: case.distinct], truth.targets[: case.distinct]
    claim, seconds = attacked(*prepared(name, view, case), torch.Generator().manual_seed(SEED))
    assert claim.labels is not None
    return {
        "rate": hits(claim.inputs, inputs, others),
        "null": hits(claim.inputs, null[: case.distinct], others),
        "psnr": float(psnr(*matched(claim.inputs, inputs)).clamp(max=BEST_PSNR).mean()),
        "labels": multiset_hits(claim.labels, labels) / len(labels),
        "objective": claim.objective,
        "solved": claim.solved,
        "seconds": seconds,
    }


def run(log: Path, cases: list[str], models: list[str], most: int, deadline: float) -> None:
    """Run what is not in the log yet, on the updates of `most` clients a round."""
    data, test = images("Fashion-MNIST")
    done = {tuple(row[key] for key in KEYS) for row in recorded(log)}
    for model in models:
        for case in (c for c in CASES if c.name in cases):
            last = case.rounds - 1
            job = train(task(model, case, data), seed=SEED, record=(0, last))
            for stage, number in (("first", 0), ("last", last)):
                pairs = update_views(job, Observer.HONEST_SERVER, [number])
                for client, (view, truth) in enumerate(pairs[:most]):
                    null = pairs[(client + 1) % len(pairs)][1].inputs
                    for attack in ATTACKS:
                        key = (model, case.name, stage, client, attack)
                        if key in done or time.monotonic() > deadline:
                            continue
                        row = measured(attack, case, view, truth, null, test.x)
                        record(log, {**dict(zip(KEYS, key, strict=True)), **row})


def table(log: Path) -> Iterator[str]:
    """Yield the lines of the table; differences are paired by update."""
    found = recorded(log)
    yield head(
        "model", "job", "round", "attack", "n", "identification rate", "null",
        "less Inverting Gradients", "PSNR, dB", "labels", "solved", "CPU seconds",
    )  # fmt: skip
    for model in MODELS:
        for case in CASES:
            for stage in ("first", "last"):
                cell = [
                    r
                    for r in found
                    if (r["model"], r["case"], r["stage"]) == (model, case.name, stage)
                ]
                by = {a: {r["client"]: r for r in cell if r["attack"] == a} for a in ATTACKS}
                shared = sorted(set.intersection(*(set(c) for c in by.values())))
                if not shared:
                    continue
                for attack in ATTACKS:
                    own = [by[attack][c] for c in shared]
                    base = [by[ATTACKS[0]][c] for c in shared]
                    gain = [a["rate"] - b["rate"] for a, b in zip(own, base, strict=True)]
                    cells = [
                        model,
                        case.name,
                        stage,
                        f"`{attack}`",
                        len(own),
                        interval([r["rate"] for r in own], ".3f"),
                        f"{np.mean([r['null'] for r in own]):.3f}",
                        "" if attack == ATTACKS[0] else interval(gain, "+.3f"),
                        interval([r["psnr"] for r in own], ".1f"),
                        f"{np.mean([r['labels'] for r in own]):.2f}",
                        f"{sum(r['solved'] for r in own)}",
                        f"{np.median([r['seconds'] for r in own]):.1f}",
                    ]
                    yield line(cells)


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--cases", nargs="*", default=[c.name for c in CASES])
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    parser.add_argument("--updates", type=int, default=20, help="clients attacked a round")
    parser.add_argument("--seconds", type=float, default=1e9, help="start no attack after these")
    options = parser.parse_args()
    torch.set_num_threads(1)
    deadline = time.monotonic() + options.seconds
    run(options.log, options.cases, options.models, options.updates, deadline)
    print("\n".join(table(options.log)))


if __name__ == "__main__":
    main()
