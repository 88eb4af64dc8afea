"""What selective encryption leaves: attacks on the plaintext rest, and its cost, on one curve.

Digits (MLP of width 256 and LeNet, batches of 4, first and last rounds), the coordinates that are
largest over the cohort encrypted; the last layers or random coordinates beside them at 10 %.
Cost is of CKKS by TenSEAL (5.2x a float32).

    python benchmarks/selective_encryption.py --out benchmarks/results/selective_encryption.md
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from result_tables import head, line

import seepage
from seepage.core.plan_reader import plan_from_json
from seepage.core.results import Result
from seepage.defenses.sums.selective_encryption import SelectiveEncryption

CURVE = (
    ("largest", 0.0), ("largest", 0.01), ("largest", 0.1), ("largest", 0.3), ("largest", 1.0),
    ("last", 0.1), ("random", 0.1), ("last", 0.01),
)  # fmt: skip
JOBS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "mlp": ({"name": "mlp", "width": 256}, ["fully-connected", "label-counts"]),
    "lenet": ({"name": "lenet"}, ["inverting-gradients", "label-counts"]),
}


def audited(rule: str, fraction: float) -> Result:
    """Return the audit of both jobs with such a share encrypted."""
    defense = {"name": "selective-encryption", "rule": rule, "fraction": fraction}
    plan = plan_from_json(
        {
            "seed": 0,
            "budget": "none",
            "units": 24,
            "observers": ["honest-server"],
            "tasks": [
                {
                    "name": name,
                    "data": {"source": "digits", "clients": 8},
                    "model": model,
                    "training": {"rounds": 30, "batch_size": 4, "lr": 0.3},
                    "moments": ["start", "end"],
                    "attacks": attacks,
                }
                for name, (model, attacks) in JOBS.items()
            ],
            "attacks": [
                {"name": "fully-connected"},
                {"name": "label-counts"},
                {"name": "inverting-gradients", "steps": 60},
            ],
            "defenses": [defense] if fraction else [],
        }
    )
    with TemporaryDirectory() as folder:
        return seepage.audit_plan(plan, source="benchmark", out=Path(folder) / "run")


def cells(result: Result) -> list[str]:
    """Return the most that each attack got on each net, over moments, and the guess."""
    found: list[str] = []
    for task, (_, attacks) in JOBS.items():
        for attack in attacks:
            of = [f for f in result.findings if (f.task, f.attack) == (task, attack)]
            of = [f for f in of if f.metric in {"identification_rate", "label_accuracy"}] or of
            if not of:
                found.append("-")
                continue
            most = max(of, key=lambda f: f.value - max(f.null, f.prior))
            low, high = most.ci
            guess = max(most.null, most.prior)
            found.append(f"{most.value:.2f} [{low:.2f}, {high:.2f}] ({guess:.2f})")
    return found


def main() -> None:
    """Audit along the curve and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    names = [f"{task}: {attack}" for task, (_, attacks) in JOBS.items() for attack in attacks]
    rows = [head("encrypted", "rule", "bytes", *names)]
    for rule, fraction in CURVE:
        cost = 1.0
        if fraction:
            defense = SelectiveEncryption(fraction=fraction, rule=rule)
            cost = defense.upload_bytes(4_000_000) / 4_000_000
        rows.append(
            line([f"{fraction:.0%}", rule, f"{cost:.2f}x", *cells(audited(rule, fraction))])
        )
        print(rows[-1], flush=True)
    page = "\n".join(
        [
            "# Selective encryption",
            "",
            "Digits, 8 clients, batches of 4, 24 updates a cell: what a server reads in the "
            "plaintext rest. Identification rate, or the share of labels told; in brackets what a "
            "guess gets.",
            "",
            *rows,
            "",
        ]
    )
    if given.out:
        given.out.write_text(page)


if __name__ == "__main__":
    main()
