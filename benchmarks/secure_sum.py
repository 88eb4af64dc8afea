"""Every protocol for secure sums beside a plain sum: seconds, bytes and error.

Eight clients of 100 thousand and a million float32 each. Repetitions are interleaved: every round
runs each protocol once, in an order that turns. Seconds are what a role works, without waiting
for others; where a protocol runs in processes of its own, they are those processes'.

    python benchmarks/secure_sum.py --out benchmarks/results/secure_sum.md
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray
from result_tables import head, line

import seepage
from seepage.crypto.cards import CARDS
from seepage.crypto.protocol import SecureSum

CLIENTS, SIZES = 8, (100_000, 1_000_000)
REPEATS = {"plain": 9, "masking": 9, "spdz": 9}
"""Of the fast ones; others are repeated three times."""


def vectors(size: int) -> list[NDArray[np.float32]]:
    """Return what clients hold: like updates, small."""
    rng = np.random.default_rng(0)
    return [(0.05 * rng.standard_normal(size)).astype(np.float32) for _ in range(CLIENTS)]


def raced(given: list[NDArray[np.float32]], names: list[str]) -> dict[str, list[SecureSum]]:
    """Return the sums of each protocol, run in turns."""
    found: dict[str, list[SecureSum]] = {name: [] for name in names}
    for repeat in range(max(REPEATS.values())):
        turn = repeat % len(names)
        for name in names[turn:] + names[:turn]:
            if repeat < REPEATS.get(name, 3):
                found[name].append(seepage.secure_sum(given, protocol=name))
    return found


def row(name: str, runs: list[SecureSum], exact: NDArray[np.float64], plain: float) -> str:
    """Return a protocol's line: medians over its runs."""

    def ms(which: str) -> float:
        return 1e3 * median(getattr(run.cost, which) for run in runs)

    cost = runs[0].cost
    error = max(float(np.abs(run.sum - exact).max()) for run in runs)
    size = 4 * len(exact)
    work = ms("client_seconds") + ms("server_seconds")
    return line(
        [
            name,
            f"{ms('client_seconds'):.1f}",
            f"{ms('server_seconds'):.1f}",
            f"{ms('offline_seconds'):.0f}" if cost.offline_seconds else "",
            f"{work / plain:.0f}x",
            f"{cost.bytes_up_per_client / size:.3f}x",
            f"{cost.bytes_down_per_client / size:.3f}x",
            cost.rounds,
            f"{error:.1e}",
            f"{runs[0].max_error:.1e}",
        ]
    )


def page(sizes: tuple[int, ...]) -> str:
    """Return the measured tables."""
    names = [card.name for card in CARDS if not card.missing()]
    absent = [f"{card.name} ({card.missing()})" for card in CARDS if card.missing()]
    rows = [
        f"# Secure sums of {CLIENTS} clients",
        "",
        f"On {os.cpu_count()} CPU cores; medians of 9 interleaved runs of plain, masking and spdz, "
        "of 3 of the others. Client: one client's work, without the plain cost of making the "
        "vector. Server: the busiest party that is no client. Offline: a dealer's work before any "
        "vector is known. Bytes to those of float32.",
        *([f"Not installed where this ran: {', '.join(absent)}."] if absent else []),
    ]
    for size in sizes:
        given = vectors(size)
        found = raced(given, names)
        exact = np.sum([vector.astype(np.float64) for vector in given], axis=0)
        costs = [run.cost for run in found["plain"]]
        plain = 1e3 * median(c.client_seconds + c.server_seconds for c in costs)
        rows += [
            "",
            f"## {size:,} parameters",
            "",
            head(
                "protocol", "client, ms", "server, ms", "offline, ms", "both to plain", "up",
                "down", "rounds", "error", "error bound",
            ),
        ]  # fmt: skip
        rows += [row(name, runs, exact, plain) for name, runs in found.items()]
        print("\n".join(rows[-len(found) - 4 :]), flush=True)
    return "\n".join(rows) + "\n"


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    given = parser.parse_args()
    found = page(tuple(given.sizes))
    if given.out:
        given.out.write_text(found)


if __name__ == "__main__":
    main()
