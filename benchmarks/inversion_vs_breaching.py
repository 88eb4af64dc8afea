"""Gradient inversion raced against breaching 0.1.2, interleaved, in CPU seconds to a target.

    SEEPAGE_DATA=... python benchmarks/inversion_vs_breaching.py --peer-python PEER/bin/python

Both get the same weights and the same gradient, and neither labels nor batch statistics.
Each attack runs at growing step counts, ours and theirs in turn, one thread each, in two
processes of which one sleeps. The time to a target (a PSNR; identification among 1,000
candidates) is the CPU time of the cheapest whole run that reached it, over all step
counts, for both. Ours runs with its defaults. breaching's configuration is the best of
several on development images, by the same times. Finished cases are in the file `--out` and are
skipped, unless the code of the attacks has changed since.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from itertools import zip_longest
from pathlib import Path
from statistics import geometric_mean, median
from typing import Any

import cifar10
import torch
from breaching_race.cases import ANALYTIC, CONTESTS, DEVELOPMENT, Case, Contest, case
from breaching_race.peer import HOW_TO, Peer, PeerError
from breaching_race.records import Records, facts
from breaching_race.runs import (
    FIRST_STEPS,
    TARGETS,
    Run,
    climb,
    ours,
    prior_psnr,
    same_gradient,
    seconds_to,
    theirs,
)
from breaching_race.table import report
from breaching_race.variants import Variant, variants


def main() -> None:
    """Race what is not recorded yet, and print the table."""
    arguments = parsed()
    torch.set_num_threads(1)
    records = Records(arguments.out)
    if not arguments.report:
        if arguments.peer_python is None:
            sys.exit(f"--peer-python is missing\n\n{HOW_TO}")
        with tempfile.TemporaryDirectory() as folder:
            try:
                peer = Peer(arguments.peer_python, Path(folder))
                records.common = facts(peer.versions())
                for contest in CONTESTS + ANALYTIC:
                    if arguments.only in contest.name:
                        race(contest, peer, records, arguments)
                peer.close()
            except PeerError as error:
                sys.exit(str(error))
    print(report(records.all(), CONTESTS, ANALYTIC))


def parsed() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=HOW_TO, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--peer-python", type=Path, help="the Python of an environment with breaching")
    add("--out", type=Path, default=Path("inversion_race.jsonl"), help="results, one case a line")
    add("--data", type=Path, default=cifar10.folder(), help="the data folder; default SEEPAGE_DATA")
    add("--images", type=int, default=5, help="cases a contest")
    add("--quick", action="store_true", help="one case a contest, and one for development")
    add("--restarts", type=int, default=1, help="restarts, of both")
    add("--train", type=int, default=0, help="SGD steps of the model before it is attacked")
    add("--longest", type=float, default=20.0, help="CPU seconds that no run should exceed")
    add("--only", default="", help="race the contests whose names contain this")
    add("--report", action="store_true", help="only print the table of what --out holds")
    return parser.parse_args()


def race(contest: Contest, peer: Peer, records: Records, arguments: argparse.Namespace) -> None:
    """Choose breaching's configuration on development images, then race case by case."""
    print(contest.name, file=sys.stderr)
    key = {"contest": contest.name, "restarts": arguments.restarts, "train": arguments.train}
    count = 1 if arguments.quick else DEVELOPMENT
    numbers = range(1 if arguments.quick else arguments.images)

    def made(number: int) -> Case:
        """Return a case of the contest."""
        return case(contest, number, arguments.data, arguments.train)

    tuning = records.recorded(
        {**key, "kind": "tuning", "cases": count},
        lambda: tuned([made(-1 - i) for i in range(count)], peer, arguments.restarts),
    )
    variant = Variant(**tuning["chosen"])
    key = {**key, "kind": "case", "variant": variant.name, "code": records.common["code"]}
    for number in numbers:
        records.recorded(
            {**key, "number": number},
            lambda n=number: raced(made(n), variant, peer, arguments),
        )


def tuned(cases: list[Case], peer: Peer, restarts: int) -> dict[str, Any]:
    """Return breaching's configuration with the least times to the targets.

    Compared by the geometric mean over targets and cases; a target that was not reached
    counts as twice the longest run of all.
    """
    offered = variants(cases[0].contest)
    runs = [
        [[theirs(c, v, n, restarts, peer) for n in v.tuning_steps] for c in cases] for v in offered
    ]
    late = 2 * max(run["seconds"] for climbs in runs for climb in climbs for run in climb) + 1e-3
    tried = []
    for variant, climbs in zip(offered, runs, strict=True):
        times = [min(seconds_to(c, t), late) for c in climbs for t in (None, *TARGETS)]
        best = [max(run["psnr"] for run in c) for c in climbs]
        score = {"seconds": geometric_mean(t + 1e-3 for t in times), "psnr": median(best)}
        errors = sorted({run["error"] for c in climbs for run in c if "error" in run})
        tried.append({"name": variant.name, **score, "errors": errors})
        print(f"  {tried[-1]}", file=sys.stderr)
    chosen = min(range(len(tried)), key=lambda i: tried[i]["seconds"])
    return {"tried": tried, "chosen": offered[chosen].settings()}


def raced(found: Case, variant: Variant, peer: Peer, arguments: argparse.Namespace) -> Run:
    """Climb the step counts of both in turn; a first run of each, not counted, warms up."""
    same_gradient(found, variant, peer)
    restarts, longest = arguments.restarts, arguments.longest
    warm_up = {
        "ours": ours(found, 2, restarts)["seconds"],
        "theirs": theirs(found, variant, 2, restarts, peer)["seconds"],
    }
    climbs = (
        climb(lambda n: ours(found, n, restarts), FIRST_STEPS.get(found.contest.attack), longest),
        climb(lambda n: theirs(found, variant, n, restarts, peer), variant.first_steps, longest),
    )
    runs: dict[str, list[Run]] = {"ours": [], "theirs": []}
    for pair in zip_longest(*climbs):
        for side, run in zip(runs, pair, strict=True):
            if run is not None:
                runs[side].append(run)
    for side, climbed in runs.items():
        told = ", ".join(f"{r['steps']}: {r['psnr']:.1f} dB {r['seconds']:.2f} s" for r in climbed)
        print(f"  {found.number} {side} {told}", file=sys.stderr)
    return {"runs": runs, "warm_up": warm_up, "prior_psnr": prior_psnr(found)}


if __name__ == "__main__":
    main()
