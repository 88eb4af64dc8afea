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
from result_tables import head, line

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


def main() -> None:
    """Train, audit and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--protocols", nargs="+")
    given = parser.parse_args()
    torch.set_num_threads(1)
    there = [card.name for card in CARDS if not card.missing() and card.name != "plain"]
    known = {card.name for card in DEFENSES if card.protocol}
    names = given.protocols or [name for name in there if name in known]
    task = from_plan(plan(TRAINED, ATTACKS, []), source="benchmark").jobs[0].task
    trained = [head("sum", "accuracy", "points from plain", "seconds a round")]
    plain, seconds = accuracy(task, ())
    trained.append(line(["plain", f"{plain:.4f}", "", f"{seconds:.2f}"]))
    attacked = [head("sum", *ATTACKS)]
    for name in ["none", *names]:
        defenses = [] if name == "none" else [name]
        if defenses:
            defense = next(card for card in DEFENSES if card.name == name).build({})
            found, seconds = accuracy(task, (defense,))
            points = f"{100 * (found - plain):+.2f}"
            trained.append(line([name, f"{found:.4f}", points, f"{seconds:.2f}"]))
        with TemporaryDirectory() as folder:
            audited = plan(AUDITED, ATTACKS, defenses)
            result = seepage.audit_plan(audited, source="benchmark", out=Path(folder) / "run")
        cells = [
            cell(result, a, "auc" if a == "gradient-cosine" else "identification_rate")
            for a in ATTACKS
        ]
        attacked.append(line([name, *cells]))
        print(*trained[-1:], attacked[-1], sep="\n", flush=True)
    page = "\n".join(
        [
            "# A LeNet under secure sums",
            "",
            "Fashion-MNIST, 8 clients of 500 records, 10 rounds of 20 steps of 32, one seed.",
            "",
            *trained,
            "",
            "One step of 4 records a client, first rounds: identification rate (AUC for "
            "`gradient-cosine`), in brackets what a guess gets, and the verdict.",
            "",
            *attacked,
            "",
        ]
    )
    if given.out:
        given.out.write_text(page)
    else:
        print(page)


if __name__ == "__main__":
    main()
