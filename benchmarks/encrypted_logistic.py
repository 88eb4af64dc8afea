"""A logistic regression of four hospitals' heart patients, trained on encrypted records.

128-bit parameters. Seconds are what the server's process works in a round; from the second on,
each has a bootstrapping. Every fourth patient is held out; their scores come encrypted, too.

    SEEPAGE_DATA=... python benchmarks/encrypted_logistic.py --out \
        benchmarks/results/encrypted_logistic.md
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray
from result_tables import head, line

from seepage.crypto.logistic.model import Training, signed_records, with_constant
from seepage.crypto.logistic.session import EncryptedTraining, train_encrypted
from seepage.data.sets.heart_disease import heart_disease

Hospital = tuple[NDArray[np.float64], NDArray[np.int64]]


def patients(seed: int) -> tuple[list[Hospital], Hospital]:
    """Return each hospital's records, and those of the patients held out."""
    data = heart_disease()
    features = np.asarray(data.inputs, np.float64)
    sick = np.asarray(data.targets, np.int64)
    groups = np.array(data.groups)
    held_out = np.random.default_rng(seed).random(len(sick)) < 0.25
    hospitals = [
        (features[chosen], sick[chosen])
        for chosen in ((groups == name) & ~held_out for name in sorted(set(groups)))
    ]
    return hospitals, (features[held_out], sick[held_out])


def page(
    found: EncryptedTraining, plan: Training, hospitals: list[Hospital], held: Hospital
) -> str:
    """Return the measured figures."""
    records = np.concatenate([signed_records(x, y, "all") for x, y in hospitals])
    features, sick = held
    asked = with_constant(features)

    def accuracy(scores: NDArray[np.float64]) -> str:
        return f"{np.mean((scores > 0) == sick):.4f}"

    cost, later = found.cost, found.round_seconds[1:]
    inside = plan.weights(records)
    rows = [
        ("patients trained on, held out", f"{len(records)}, {len(sick)}"),
        ("rounds, rate, margin", f"{plan.rounds}, {plan.rate:g}, {plan.margin:g}"),
        ("accuracy, trained and scored encrypted", accuracy(found.scores)),
        ("accuracy, the same in the open", accuracy(asked @ inside)),
        (
            "accuracy, in the open with the logistic function",
            accuracy(asked @ plan.weights(records, exact=True)),
        ),
        ("largest error of a weight", f"{np.abs(found.weights - inside).max():.1e}"),
        ("largest error of a score", f"{np.abs(found.scores - asked @ inside).max():.1e}"),
        ("first round, s", f"{found.round_seconds[0]:.1f}"),
        ("a later round, bootstrapping included, s", f"{median(later):.1f}"),
        ("the client that makes the keys sends, GB", f"{cost.bytes_up_per_client / 1e9:.2f}"),
        (
            "any other client sends, MB",
            f"{len(found.views['server'].of('records')['client 1']) / 1e6:.1f}",
        ),
    ]
    return "\n".join(
        [
            "# Encrypted logistic regression",
            "",
            f"On {os.cpu_count()} CPU cores. {__doc__.splitlines()[0]}",
            "",
            head("what", "measured"),
            *(line(row) for row in rows),
            "",
        ]
    )


def main() -> None:
    """Train, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    plan = Training(rounds=given.rounds)
    hospitals, held = patients(given.seed)
    found = page(train_encrypted(hospitals, plan, asked=held[0]), plan, hospitals, held)
    print(found)
    if given.out:
        given.out.write_text(found)


if __name__ == "__main__":
    main()
