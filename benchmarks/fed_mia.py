"""FedMIA against the final loss on CIFAR-10, eight clients: several federations, paired.

    SEEPAGE_DATA=... python benchmarks/fed_mia.py --out benchmarks/results/fed_mia.md

The overfit job of `membership_images.toml` (8 clients of 100 photographs, LeNet), trained from
several seeds. Both attacks are asked of the same records; Student's limits over the federations.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from membership_jobs import planned
from result_tables import head, line
from scipy.stats import t as student
from who_was_in import FPR, HOLDER, SERVER, scored

from seepage.auditing.cells import Job
from seepage.auditing.federations import Federations
from seepage.core.seeds import torch_rng
from seepage.fl.candidates import candidates
from seepage.fl.utility import utility
from seepage.metrics.membership import AUC, tprs_at

ATTACKS = {
    "final loss": ("loss", HOLDER, {}),
    "FedMIA, losses (form I)": ("fed-mia", SERVER, {"score": "loss"}),
    "FedMIA, gradients (form II)": ("fed-mia", SERVER, {}),
}


def run(seeds: int) -> tuple[dict[str, list[tuple[float, float]]], list[tuple[float, float]]]:
    """Return TPR and AUC of each attack, and accuracies (train, held out), by federation."""
    task = planned("cifar10", "overfit")
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ATTACKS}
    known: list[tuple[float, float]] = []
    for seed in range(seeds):
        transcript = Federations(Job(task=task), seed=seed, width=1).transcript("defended")
        asked = candidates(task, torch_rng(seed, "candidates"), limit=0)
        score = utility(transcript.model, task)
        known.append((score["train"], score["test"]))
        for name, (attack, observer, settings) in ATTACKS.items():
            parts = zip(*scored(transcript, asked, attack, observer, settings), strict=True)
            scores, member = (np.concatenate(part) for part in parts)
            ours, others = scores[member], scores[~member]
            rate = float(tprs_at(ours[None], others[None], FPR)[0])
            found[name].append((rate, AUC.of(ours, others).value))
            print(seed, name, found[name][-1], flush=True)
    return found, known


def mean(values: list[float], form: str = ".3f") -> str:
    """Return a mean with Student's 95 % limits."""
    middle = float(np.mean(values))
    reach = float(student.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5)
    return f"{middle:{form}} [{middle - reach:{form}}, {middle + reach:{form}}]"


def page(seeds: int) -> str:
    """Return the measured table."""
    found, known = run(seeds)
    rows = [
        "# FedMIA against the final loss on CIFAR-10",
        "",
        f"8 clients of 100 photographs, LeNet, {seeds} federations from as many seeds; 800 members "
        "and 1,504 others each. Brackets: Student's 95 % limits over the federations.",
        f"Accuracy: trained on {mean([a for a, _ in known], '.2f')}, held out "
        f"{mean([b for _, b in known], '.2f')}.",
        "",
        head("attack", "TPR at 1 % FPR", "less the final loss's", "AUC"),
    ]
    loss = [rate for rate, _ in found["final loss"]]
    for name, values in found.items():
        rates = [rate for rate, _ in values]
        more = [a - b for a, b in zip(rates, loss, strict=True)] if rates != loss else []
        told = [name, mean(rates), mean(more) if more else "", mean([auc for _, auc in values])]
        rows.append(line(told))
    return "\n".join(rows) + "\n"


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--seeds", type=int, default=6)
    given = parser.parse_args()
    torch.set_num_threads(1)
    found = page(given.seeds)
    print(found)
    if given.out:
        given.out.write_text(found)


if __name__ == "__main__":
    main()
