"""Every inversion that applies, on trained and fresh nets, with and without defenses.

    SEEPAGE_DATA=... python benchmarks/inversion_table.py            # goes on where it stopped
    SEEPAGE_DATA=... python benchmarks/inversion_table.py --only mlp --draws 2
    python benchmarks/inversion_table.py --render                    # writes docs/inversion.md

Each finished row is a line of `results/inversion_table.jsonl`. Exact attacks get 100 victims
or more, optimization 20 or more. The draws, the null control and the prior are an audit's.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any

import torch

from seepage.auditing.trial import Bench
from seepage.core.errors import NotApplicableError, SeepageError
from seepage.core.plan_reader import plan_from_json

HERE = Path(__file__).parent
RECORD = HERE / "results" / "inversion_table.jsonl"
PICTURES = HERE.parent / "docs" / "inversion"

FASHION = {
    "source": "images/fashion_mnist/fashion_mnist_30k_10k.npz",
    "inputs": "x_train",
    "targets": "y_train",
    "limit": 20000,
}
CIFAR = {"source": "cifar10:load"}
MODELS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "fashion-mlp": (FASHION, {"name": "mlp", "width": 512}),
    "fashion-lenet": (FASHION, {"name": "lenet"}),
    "cifar-convnet": (CIFAR, {"name": "convnet", "width": 16}),
    "cifar-resnet20": (CIFAR, {"name": "resnet20"}),
}
ROUNDS = {1: 400, 8: 200}
LR = {1: 0.03, 8: 0.1}

EXACT = ("fully-connected", "spear", "ica", "imprint", "trap-weights")
SEARCHING = ("inverting-gradients", "dlg", "grad-inversion", "learning-to-invert", "fishing")
FEDAVG = ("inverting-gradients", "sme", "unrolled-fedavg")
DEFENSES: dict[str, list[dict[str, Any]]] = {
    "dp-sgd": [{"name": "dp-sgd", "noise_multiplier": 1.0, "max_grad_norm": 1.0}],
    "local-dp": [{"name": "local-dp", "noise_multiplier": 0.1, "max_norm": 1.0}],
    "top-k": [{"name": "top-k", "fraction": 0.1}],
    "secure sum": [{"name": "secure-aggregation"}],
    "secure sum + commitment": [{"name": "secure-aggregation"}, {"name": "model-commitment"}],
}
STRONGEST: dict[str, dict[str, list[dict[str, Any]]]] = {
    "fashion-mlp": {
        "dp-sgd": [
            {"name": "fully-connected", "refits": 0},
            {"name": "fully-connected"},
            {"name": "averaged"},
            {"name": "inverting-gradients", "noise_aware": False},
            {"name": "inverting-gradients"},
            {"name": "learning-to-invert", "adaptive": False},
            {"name": "learning-to-invert"},
            {"name": "imprint"},
        ],
        "top-k": [
            {"name": "fully-connected"},
            {"name": "inverting-gradients", "mask_aware": False},
            {"name": "inverting-gradients"},
            {"name": "learning-to-invert", "adaptive": False},
            {"name": "learning-to-invert"},
            {"name": "imprint"},
        ],
        "secure sum": [
            {"name": "fully-connected"},
            {"name": "spear"},
            {"name": "ica"},
            {"name": "imprint"},
            {"name": "model-inconsistency"},
        ],
        "secure sum + commitment": [{"name": "model-inconsistency"}, {"name": "imprint"}],
    },
    "fashion-lenet": {
        "dp-sgd": [
            {"name": "inverting-gradients", "noise_aware": False},
            {"name": "inverting-gradients"},
            {"name": "learning-to-invert", "examples": 700, "adaptive": False},
            {"name": "learning-to-invert", "examples": 700},
            {"name": "imprint"},
        ],
        "top-k": [
            {"name": "inverting-gradients", "mask_aware": False},
            {"name": "inverting-gradients"},
            {"name": "learning-to-invert", "examples": 700, "adaptive": False},
            {"name": "learning-to-invert", "examples": 700},
            {"name": "imprint"},
        ],
        "secure sum": [
            {"name": "inverting-gradients"},
            {"name": "imprint"},
            {"name": "model-inconsistency"},
        ],
        "secure sum + commitment": [{"name": "model-inconsistency"}, {"name": "imprint"}],
    },
}
for _plans in STRONGEST.values():
    _plans["local-dp"] = _plans["dp-sgd"]
VICTIMS = {"exact": 104, "search": 20}
# What keeps a victim of a deep net at ten seconds.
DEEP: dict[str, dict[str, Any]] = {
    "dlg": {"steps": 150, "restarts": 1},
    "learning-to-invert": {"examples": 500},
}
LEAST_DRAWS = 6


@dataclass(frozen=True)
class Row:
    """One attack on one job; `key` names it in the record."""

    model: str
    stage: str
    batch: int
    attack: dict[str, Any]
    defense: str = ""
    steps: int = 1
    victims: int = VICTIMS["search"]
    job: tuple[Any, ...] = field(init=False)

    def __post_init__(self) -> None:
        job = (self.model, self.stage, self.batch, self.defense, self.steps)
        object.__setattr__(self, "job", job)

    @property
    def key(self) -> str:
        settings = ",".join(f"{k}={v}" for k, v in self.attack.items() if k != "name")
        parts = (*self.job, self.attack["name"], settings)
        return " / ".join(str(part) for part in parts if part != "")

    @property
    def draws(self) -> int:
        each = self.batch * self.steps * (8 if self.defense.startswith("secure") else 1)
        return max(LEAST_DRAWS, ceil(self.victims / each))

    def plan(self) -> Any:
        data, model = MODELS[self.model]
        training = {
            "rounds": ROUNDS[self.batch] // self.steps,
            "batch_size": self.batch,
            "local_steps": self.steps,
            "lr": LR[self.batch],
        }
        task = {
            "name": self.model,
            "data": {**data, "clients": 8},
            "model": model,
            "training": training,
            "moments": [self.stage],
        }
        return plan_from_json({"tasks": [task], "defenses": DEFENSES.get(self.defense, [])})


def rows() -> Iterator[Row]:
    """Every row, those of one job together."""
    for model in MODELS:
        for batch in (1, 8):
            for stage in ("start", "end"):
                for name in EXACT:
                    exact = VICTIMS["exact"]
                    yield Row(model, stage, batch, {"name": name}, victims=exact)
                for name in SEARCHING:
                    settings = DEEP.get(name, {}) if model == "cifar-resnet20" else {}
                    yield Row(model, stage, batch, {"name": name, **settings})
    for model in ("fashion-mlp", "fashion-lenet"):
        for batch in (1, 8):
            for name in FEDAVG:
                yield Row(model, "end", batch, {"name": name}, steps=5)
        for defense, attacks in STRONGEST[model].items():
            for attack in attacks:
                exact = attack["name"] in (*EXACT, "averaged") and model == "fashion-mlp"
                victims = VICTIMS["exact" if exact else "search"]
                yield Row(model, "end", 8, attack, defense=defense, victims=victims)


def measure(bench: Bench, row: Row, draws: int) -> dict[str, Any]:
    """Run one row; what can't be run has a reason instead of figures."""
    from seepage.core.plan import Component

    settings = {k: v for k, v in row.attack.items() if k != "name"}
    started = time.perf_counter()
    try:
        found = bench.run(
            Component(name=row.attack["name"], settings=settings),
            draws=draws,
            include_records=True,
        )
    except (NotApplicableError, SeepageError) as error:
        return {"not_run": str(error)}
    shown = row.stage == "end" and row.batch == 8 and not row.defense and row.steps == 1
    if shown and found.pictures.get("truth") is not None:
        from seepage.report.mosaic import mosaic

        shown = {k: v for k, v in found.pictures.items() if k in ("truth", "defended")}
        if drawn := mosaic(shown):
            PICTURES.mkdir(parents=True, exist_ok=True)
            (PICTURES / f"{slug(row.key)}.png").write_bytes(drawn)
    content = found.to_json()
    for name in ("schema", "task", "defenses", "settings", "moment", "seed"):
        content.pop(name)
    return {**content, "wall": time.perf_counter() - started}


def slug(key: str) -> str:
    """Return a file name for a row's key."""
    return "-".join("".join(c if c.isalnum() else " " for c in key).split())


def done() -> dict[str, dict[str, Any]]:
    """Return the recorded rows by key."""
    if not RECORD.exists():
        return {}
    lines = [json.loads(line) for line in RECORD.read_text().splitlines() if line]
    return {line["key"]: line for line in lines}


def run(only: str, draws: int | None) -> None:
    """Run what is not recorded yet."""
    torch.set_num_threads(1)
    sys.path.insert(0, str(HERE))
    found = done()
    wanted = [row for row in rows() if row.key not in found and only in row.key]
    for job in dict.fromkeys(row.job for row in wanted):
        together = [row for row in wanted if row.job == job]
        most = max(draws or row.draws for row in together)
        started = time.perf_counter()
        try:
            bench = Bench(together[0].plan(), draws=most)
        except SeepageError as error:
            print(f"{job}: {error}", file=sys.stderr)
            continue
        accuracy = bench.utility()
        trained = time.perf_counter() - started
        for row in together:
            content = measure(bench, row, draws or row.draws)
            line = {
                "key": row.key, "model": row.model, "stage": row.stage, "batch": row.batch,
                "steps": row.steps, "defense": row.defense, "attack": row.attack["name"],
                "settings": {k: v for k, v in row.attack.items() if k != "name"},
                "accuracy": accuracy, "training_seconds": trained, **content,
            }  # fmt: skip
            with RECORD.open("a") as record:
                record.write(json.dumps(line, default=str) + "\n")
            told = content.get("not_run") or f"{content['value']:.3f} in {content['wall']:.0f} s"
            print(f"{row.key}: {told}", flush=True)


def main() -> None:
    """Run, or render what was run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="rows whose key holds this")
    parser.add_argument("--draws", type=int, help="batches a row, fewer than the record asks for")
    parser.add_argument("--render", action="store_true", help="write docs/inversion.md")
    given = parser.parse_args()
    if given.render:
        from inversion_page import write_page

        write_page(list(done().values()))
        return
    run(given.only, given.draws)


if __name__ == "__main__":
    main()
