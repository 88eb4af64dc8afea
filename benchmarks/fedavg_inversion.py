"""Inverts FedAvg updates of several local steps: SME, Inverting Gradients and unrolling.

Three attacks see the same updates of Fashion-MNIST jobs, LeNet and MLP, in the first and
in the last round. Rates and differences come with 95 % bootstrap intervals over updates.
Each attack on each update is one line of the log, so that the same command resumes.

    SEEPAGE_DATA=... python benchmarks/fedavg_inversion.py --log RUN.jsonl
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seepage.attacks.inversion.optimized.inverting_gradients import InvertingGradients
from seepage.attacks.inversion.optimized.sme import SME
from seepage.attacks.inversion.optimized.unrolled_fedavg import UnrolledFedAvg
from seepage.core.claims import BatchTruth
from seepage.core.intervals import bootstrap
from seepage.core.task import ClientData, Records, Task, Training
from seepage.core.threat import Observer
from seepage.core.views import UpdateView
from seepage.data.files import data_folder
from seepage.fl.engine import train
from seepage.fl.views import update_views
from seepage.metrics.attribute import multiset_hits
from seepage.metrics.matching import match
from seepage.metrics.reconstruction import identified, psnr
from seepage.models.api import build

CLIENTS, CANDIDATES, SEED = 24, 1000, 0
BEST_PSNR = 50.0
MODELS: dict[str, dict[str, Any]] = {"mlp": {"width": 256}, "lenet": {}}
ATTACKS = ("inverting-gradients", "sme", "unrolled-fedavg")


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
        return min(self.held, self.steps * self.batch)


CASES = (
    Case("2 steps of 1", 2, 1, 200, 0.02, 100),
    Case("5 steps of 1", 5, 1, 200, 0.02, 100),
    Case("5 steps of 8", 5, 8, 200, 0.05, 60),
    Case("5 steps of the same 8", 5, 8, 8, 0.05, 60),
)


def fashion() -> tuple[Tensor, Tensor, Tensor]:
    """Return training images and labels, and test images, in 0..1."""
    with np.load(data_folder() / "images/fashion_mnist/fashion_mnist_30k_10k.npz") as file:
        x, y, test = (file[name] for name in ("x_train", "y_train", "x_test"))
    scaled = [torch.tensor(a, dtype=torch.float32)[:, None] / 255 for a in (x, test)]
    return scaled[0], torch.tensor(y.astype("int64")), scaled[1]


def task(model: str, case: Case, x: Tensor, y: Tensor) -> Task:
    def records(first: int, n: int) -> Records:
        rows = torch.arange(first, first + n)
        return Records(inputs=x[rows], targets=y[rows], rows=rows)

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
        build=lambda rng: build(model, MODELS[model], input_shape=(1, 28, 28), classes=10, rng=rng),
        loss=torch.nn.CrossEntropyLoss(),
        clients=clients,
        auxiliary=records(25_000, 1000),
        training=Training(
            rounds=case.rounds, batch_size=case.batch, local_steps=case.steps, lr=case.lr
        ),
        classes=10,
        value_range=(0.0, 1.0),
    )


def attacked(name: str, view: UpdateView, case: Case, rng: torch.Generator) -> Any:
    """Run an attack; each is told how many records are behind the update."""
    told = case.distinct if case.distinct < case.steps * case.batch else 0
    if name == "sme":
        return SME(records=told)(view, rng)
    if name == "unrolled-fedavg":
        return UnrolledFedAvg(records=told)(view, rng)
    if told:
        job = replace(view.job, local_steps=1, lr=view.job.lr * case.steps)
        view = replace(view, job=job)
    return InvertingGradients()(view, rng)


def hits(inputs: Tensor, truth: Tensor, others: Tensor) -> float:
    """Return the share of the truth that is nearer to its match than the others are."""
    rivals = others[: CANDIDATES - len(truth)]
    return float(identified(inputs, truth, rivals).float().mean())


def measured(
    name: str, case: Case, view: UpdateView, truth: BatchTruth, null: Tensor, others: Tensor
) -> dict[str, Any]:
    inputs, labels = truth.inputs[: case.distinct], truth.targets[: case.distinct]
    started = time.process_time()
    claim = attacked(name, view, case, torch.Generator().manual_seed(SEED))
    seconds = time.process_time() - started
    mine, true = (list(column) for column in zip(*match(claim.inputs, inputs), strict=True))
    return {
        "rate": hits(claim.inputs, inputs, others),
        "null": hits(claim.inputs, null[: case.distinct], others),
        "psnr": float(psnr(claim.inputs[mine], inputs[true]).clamp(max=BEST_PSNR).mean()),
        "labels": multiset_hits(claim.labels, labels) / len(labels),
        "objective": claim.objective,
        "solved": claim.solved,
        "seconds": seconds,
    }


def run(log: Path, cases: list[str], models: list[str], most: int, deadline: float) -> None:
    x, y, test = fashion()
    done = {(r["model"], r["case"], r["stage"], r["client"], r["attack"]) for r in rows(log)}
    for model in models:
        for case in (c for c in CASES if c.name in cases):
            last = case.rounds - 1
            job = train(task(model, case, x, y), seed=SEED, record=(0, last))
            for stage, number in (("first", 0), ("last", last)):
                pairs = update_views(job, Observer.HONEST_SERVER, [number])
                for client, (view, truth) in enumerate(pairs[:most]):
                    null = pairs[(client + 1) % len(pairs)][1].inputs
                    for attack in ATTACKS:
                        key = (model, case.name, stage, client, attack)
                        if key in done or time.monotonic() > deadline:
                            continue
                        row = measured(attack, case, view, truth, null, test)
                        named = dict(zip(KEYS, key, strict=True))
                        with log.open("a") as file:
                            file.write(json.dumps({**named, **row}) + "\n")


KEYS = ("model", "case", "stage", "client", "attack")


def rows(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def interval(values: list[float], form: str) -> str:
    """Return a mean with its bootstrap interval over updates."""
    found = bootstrap(
        lambda draws: draws.mean(1), [np.array(values)], np.random.default_rng(0), resamples=4000
    )
    low, high = found.interval()
    return f"{found.value:{form}} [{low:{form}}, {high:{form}}]"


def table(log: Path) -> Iterator[str]:
    """Yield the lines of the table; differences are paired by update."""
    found = rows(log)
    yield (
        "| model | job | round | attack | n | identification rate | null | less "
        "Inverting Gradients | PSNR, dB | labels | solved | CPU seconds |"
    )
    yield "|" + "---|" * 12
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
                        str(len(own)),
                        interval([r["rate"] for r in own], ".3f"),
                        f"{np.mean([r['null'] for r in own]):.3f}",
                        "" if attack == ATTACKS[0] else interval(gain, "+.3f"),
                        interval([r["psnr"] for r in own], ".1f"),
                        f"{np.mean([r['labels'] for r in own]):.2f}",
                        f"{sum(r['solved'] for r in own)}",
                        f"{np.median([r['seconds'] for r in own]):.1f}",
                    ]
                    yield "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
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
