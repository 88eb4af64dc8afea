"""Claims about differential privacy in federated learning, run: reconstruction and utility.

    SEEPAGE_DATA=... python benchmarks/dp_claims.py             # goes on where it stopped
    SEEPAGE_DATA=... python benchmarks/dp_claims.py --tiny      # a few draws, recorded nowhere
    python benchmarks/dp_claims.py --render                     # writes the page alone

Each finished row is a line of `results/dp_claims.jsonl`; the page is `results/dp_claims.md`.
(a) `image_releases.py`: one client's 500 releases at epsilon 1.5 each, and 1.5 in total;
(b) `client_releases.py` and `client_noise.py`: what three mechanisms leak, and leave of accuracy.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from math import isfinite
from pathlib import Path
from typing import Any

import client_noise
import client_releases
import image_releases
import torch
from claims_page import page
from result_tables import record, recorded

RESULTS = Path(__file__).parent / "results"
LOG, PAGE = RESULTS / "dp_claims.jsonl", RESULTS / "dp_claims.md"
Run = Callable[[], dict[str, Any]]


def compact(value: Any) -> Any:
    """Return a row's value with its numbers as short as its tables need them."""
    if isinstance(value, dict):
        return {name: compact(held) for name, held in value.items()}
    if isinstance(value, list):
        return [compact(held) for held in value]
    if isinstance(value, float) and isfinite(value):
        return int(value) if value.is_integer() else round(value, 6)
    return value


def rows(*, tiny: bool) -> Iterator[tuple[str, dict[str, Any], Run]]:
    """Yield every row's key, what it is of, and how to run it; the cheap ones first."""
    victims = cache(client_releases.Victims)
    target = cache(image_releases.Target)
    for look in client_releases.every_look():
        about = {"part": "client", "data": look.data, "mechanism": look.mechanism,
                 "observer": look.observer, "budget": look.budget}  # fmt: skip
        many = 300 if look.mechanism == "DistributedDP" else 1000
        counts = (8, 2) if tiny else (many, 25)

        def leak(look: client_releases.Look = look, counts: Any = counts) -> dict[str, Any]:
            """Run it."""
            return client_releases.run(look, victims(look.data), *counts)

        yield f"client / {look.key}", about, leak
    for cell in client_noise.cells():
        about = {"part": "utility", "data": cell.data, "mechanism": cell.mechanism,
                 "rounds": cell.rounds, "clients": cell.clients}  # fmt: skip
        seeds = 1 if tiny else client_noise.SEEDS
        yield f"utility / {cell.key}", about, partial(client_noise.run, cell, seeds)
    for data in image_releases.AUXILIARY:
        drawn = (3, 8) if tiny else ({"Fashion-MNIST": 60, "CIFAR-10": 40}[data], 500)

        def blind(data: str = data, drawn: Any = drawn) -> dict[str, Any]:
            """Run the baselines, and releases one by one."""
            found = image_releases.baselines(target(data), drawn[0])
            return {**found, "literal": image_releases.literal(target(data))}

        yield f"images / {data} / no release", {"part": "blind", "data": data}, blind
        for level in image_releases.MUS:
            # That the attacks work without noise shows on few images.
            few = min(drawn[0], 20) if level == "next to no noise" else drawn[0]

            def attack(
                data: str = data, level: str = level, few: int = few, picks: int = drawn[1]
            ) -> dict[str, Any]:
                """Run the attacks."""
                return image_releases.attack(target(data), level, few, picks)

            about = {"part": "images", "data": data, "level": level}
            yield f"images / {data} / {level}", about, attack


def main() -> None:
    """Run what is not recorded yet, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="rows whose key holds this")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--render", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    done = {row["key"] for row in recorded(LOG)} if not given.tiny else set[str]()
    tried: list[dict[str, Any]] = []
    for key, about, run in rows(tiny=given.tiny) if not given.render else ():
        if key in done or given.only not in key:
            continue
        started = time.process_time()
        found = run()
        row = {"key": key, **about, **found, "cpu_seconds": time.process_time() - started}
        tried.append(row)
        if not given.tiny:
            record(LOG, compact(row))
        print(f"{key}: {row['cpu_seconds']:.0f} s", flush=True)
    if given.tiny:
        print(page(tried))
    else:
        PAGE.write_text(page(recorded(LOG)))


if __name__ == "__main__":
    main()
