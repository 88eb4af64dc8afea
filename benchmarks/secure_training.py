"""A LeNet on Fashion-MNIST under each secure sum: its accuracy, and what attacks still get.

Two jobs, eight clients, ten rounds each. The first (20 local steps of 32) is trained to compare
accuracy with plain sums on the same batches. The second (one step of 4) is audited, because its
updates can be inverted: an attack on single updates gets what view is left, the sum; a malicious
server gets around it. Where uploads are words (masking, spdz), the same inversion is also let
loose on one client's upload, taken for an update as it is decoded.

    python benchmarks/secure_training.py --out benchmarks/results/secure_training.md
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from result_tables import head, line, record, recorded

import seepage
from seepage.auditing.spec import from_plan
from seepage.core.defense import Defense
from seepage.core.plan_reader import plan_from_json
from seepage.core.results import Finding, Result
from seepage.core.task import Task
from seepage.crypto.cards import CARDS
from seepage.defenses.cards import CARDS as DEFENSES
from seepage.fl.engine import train
from seepage.fl.utility import utility

ATTACKS: dict[str, dict[str, Any]] = {
    "inverting-gradients": {"steps": 40},
    "gradient-cosine": {},
    "imprint": {},
    "model-inconsistency": {},
    "sybils": {},
}
TRAINED = {"batch_size": 32, "local_steps": 20, "lr": 0.1}
AUDITED = {"batch_size": 4, "local_steps": 1, "lr": 0.1}
ROUNDS = 10


def plan(training: dict[str, Any], attacks: dict[str, Any], defenses: list[str]) -> Any:
    """Return the plan of a job under some defenses."""
    return plan_from_json(
        {
            "seed": 0,
            "budget": "none",
            "units": 8,
            "observers": ["honest-server", "malicious-server"],
            "tasks": [
                {
                    "name": "fashion",
                    "data": {"source": "fashion-mnist", "clients": 8, "train_limit": 500},
                    "model": {"name": "lenet"},
                    "training": {"rounds": ROUNDS, **training},
                    "moments": ["start"],
                    "attacks": list(attacks),
                }
            ],
            "attacks": [{"name": name, **settings} for name, settings in attacks.items()],
            "defenses": [{"name": name} for name in defenses],
        }
    )


def accuracy(task: Task, defenses: tuple[Defense, ...]) -> tuple[float, float]:
    """Return the accuracy after training, and seconds a round."""
    started = time.perf_counter()
    found = train(task, defenses=defenses, seed=0)
    seconds = time.perf_counter() - started
    return float(utility(found.model, task)["test"]), seconds / ROUNDS


def cell(result: Result, attack: str, metric: str) -> str:
    """Return what an attack got, its guess and its verdict."""
    found = [f for f in result.findings if f.attack == attack and f.metric == metric]
    if not found:
        reasons = {n.reason for n in result.not_run if n.attack == attack}
        return "; ".join(sorted(reasons)) or "-"
    most: Finding = max(found, key=lambda f: f.value)
    return f"{most.value:.2f} ({max(most.null, most.prior):.2f}) {most.verdict}"


def trained(log: Path, task: Task, names: list[str]) -> list[str]:
    """Return the table of accuracies; what the log has is not trained again."""
    rows = [head("sum", "accuracy", "points from plain", "seconds a round")]
    done = {row["sum"]: row for row in recorded(log) if "accuracy" in row}
    for name in ["plain", *names]:
        if name not in done:
            cards = [card for card in DEFENSES if card.name == name]
            found, seconds = accuracy(task, tuple(card.build({}) for card in cards))
            done[name] = {"sum": name, "accuracy": found, "seconds": seconds}
            record(log, done[name])
        here = done[name]["accuracy"]
        points = f"{100 * (here - done['plain']['accuracy']):+.2f}" if name != "plain" else ""
        rows.append(line([name, f"{here:.4f}", points, f"{done[name]['seconds']:.2f}"]))
        print(rows[-1], flush=True)
    return rows


def attacked(log: Path, names: list[str]) -> list[str]:
    """Return the table of attacks; what the log has is not audited again."""
    rows = [head("sum", *ATTACKS)]
    done = {row["sum"]: row for row in recorded(log) if "attacks" in row}
    for name in ["none", *names]:
        if name not in done:
            audited = plan(AUDITED, ATTACKS, [] if name == "none" else [name])
            with TemporaryDirectory() as folder:
                result = seepage.audit_plan(audited, source="benchmark", out=Path(folder) / "run")
            metrics = ["auc" if a == "gradient-cosine" else "identification_rate" for a in ATTACKS]
            cells = [cell(result, a, m) for a, m in zip(ATTACKS, metrics, strict=True)]
            done[name] = {"sum": name, "attacks": cells}
            record(log, done[name])
        rows.append(line([name, *done[name]["attacks"]]))
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    """Train, audit and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="page; its log lies beside it")
    parser.add_argument("--audit", nargs="*", help="protocols to audit (all that are installed)")
    given = parser.parse_args()
    torch.set_num_threads(1)
    known = {card.name for card in DEFENSES if card.protocol}
    names = [card.name for card in CARDS if not card.missing() and card.name in known]
    task = from_plan(plan(TRAINED, ATTACKS, []), source="benchmark").jobs[0].task
    log = given.out.with_suffix(".jsonl")
    page = [
        "# A LeNet under secure sums",
        "",
        f"Fashion-MNIST, 8 clients of 500 records, {ROUNDS} rounds of 20 steps of 32, one seed.",
        "",
        *trained(log, task, names),
        "",
        "One step of 4 records a client, first rounds: identification rate (AUC for "
        "`gradient-cosine`), in brackets what a guess gets, and the verdict. Under a sum, "
        "`inverting-gradients` gets the sum: no single update is left to look at.",
        "",
        *attacked(log, given.audit if given.audit is not None else names),
        "",
    ]
    given.out.write_text("\n".join(page))


if __name__ == "__main__":
    main()
