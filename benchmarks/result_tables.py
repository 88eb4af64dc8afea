"""Records of finished runs as JSON lines, and results as markdown tables."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from seepage.core.intervals import bootstrap


def recorded(log: Path) -> list[dict[str, Any]]:
    """Return the rows of a log, none where there is no log yet."""
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def record(log: Path, row: dict[str, Any]) -> None:
    """Add a row to a log."""
    with log.open("a") as file:
        file.write(json.dumps(row) + "\n")


def head(*columns: str) -> str:
    """Return the two lines that open a table.

    >>> print(head("net", "PSNR"))
    | net | PSNR |
    |---|---|
    """
    return f"{line(columns)}\n|{'---|' * len(columns)}"


def line(cells: Iterable[object]) -> str:
    """Return one line of a table."""
    return f"| {' | '.join(map(str, cells))} |"


def interval(values: list[float], form: str = ".2f") -> str:
    """Return a mean with its bootstrap interval over updates."""
    found = bootstrap(
        lambda draws: draws.mean(1), [np.array(values)], np.random.default_rng(0), resamples=4000
    )
    low, high = found.interval()
    return f"{found.value:{form}} [{low:{form}}, {high:{form}}]"
