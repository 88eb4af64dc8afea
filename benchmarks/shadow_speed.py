"""LiRA's shadow federations against a plain loop over them: seconds, and equal scores.

Both train the same 64 federations of an MLP on the census data, on the same deals and seeds, and
score the same candidates. The plain loop is `engine.train` one federation after the other, one
client after the other. The order of the two changes from repetition to repetition. `one core`
holds both to one thread; `all cores` gives the loop torch's own threads. A second table gives one
core and all of them work that takes one core a minute or more: shorter work is not spread.

    python benchmarks/shadow_speed.py --out benchmarks/results/shadow_speed.md
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from copy import deepcopy
from itertools import product
from pathlib import Path
from statistics import median

import torch
from result_tables import head, line
from torch import Tensor

from seepage.attacks.membership.confidence import confidence_of
from seepage.attacks.membership.lira import likelihood_ratios
from seepage.auditing.simulating import dealt
from seepage.auditing.spec import from_plan
from seepage.core.plan import Component, DataPlan, Plan, TaskPlan
from seepage.core.seeds import derive_seed, torch_rng
from seepage.core.task import Records, Task, Training
from seepage.core.views import AuxiliaryData, Simulated
from seepage.fl.engine import train
from seepage.fl.many import Deals, train_many
from seepage.fl.state import load_state, shared_state

SHADOWS, RECORDS, ROUNDS = 64, 2_000, 60
BATCHES, WIDTHS, STEPS = (64, 256), (64, 256), (1, 4)
LONG = {(64, 64): 600, (64, 256): 250, (256, 64): 200, (256, 256): 120}
"""Rounds of four local steps that make the work long, by batch and width."""


def job(batch: int, width: int, steps: int, rounds: int) -> Task:
    """Return four clients of 500 records, on an MLP."""
    training = Training(rounds=rounds, batch_size=batch, local_steps=steps, lr=0.1)
    data = DataPlan(source="income", clients=4, limit=2 * RECORDS, holdout=0.01, auxiliary=0.5)
    model = Component(name="mlp", settings={"width": width})
    plan = Plan(tasks=(TaskPlan(name="income", data=data, model=model, training=training),))
    return from_plan(plan, source="").jobs[0].task


def deals(task: Task, shadows: int) -> Deals:
    """Deal half of all records out to each shadow's clients."""
    pool = Records.joined([*(c.train for c in task.clients), task.auxiliary])
    sizes = [len(c.train) for c in task.clients]
    parts: list[list[Tensor]] = []
    for k in range(shadows):
        rng = torch_rng(0, "deal", k)
        chosen = torch.randperm(len(pool), generator=rng)[: sum(sizes)]
        parts.append(dealt(chosen, sizes, rng))
    return Deals(pool=pool, parts=parts, seeds=[derive_seed(0, "k", k) for k in range(shadows)])


def by_loop(task: Task, given: Deals) -> list[dict[str, Tensor]]:
    """Return final states, one federation and one client after the other."""
    return [
        shared_state(train(given.task(task, k), seed=seed, batched=False).model)
        for k, seed in enumerate(given.seeds)
    ]


def by_us(task: Task, given: Deals, cores: int | None) -> list[dict[str, Tensor]]:
    """Return final states, as an audit gets them."""
    return [dict(found.last) for found in train_many(task, given, cores=cores)]


def scores(task: Task, given: Deals, states: list[dict[str, Tensor]]) -> Tensor:
    """Return LiRA's scores of all records but the first shadow's target: itself."""
    model = task.build(torch_rng(0, "model"))
    records = AuxiliaryData(given.pool.inputs, given.pool.targets)
    phi: list[Tensor] = []
    for state in states:
        here = deepcopy(model)
        load_state(here, state)
        phi.append(confidence_of(Simulated(here.eval()), records, task.classes))
    inside = torch.zeros(len(states), len(given.pool), dtype=torch.bool)
    for row, parts in zip(inside, given.parts, strict=True):
        row[torch.cat(list(parts))] = True
    return likelihood_ratios(phi[0], torch.stack(phi[1:]), inside[1:], pooled=True)


def timed(run: Callable[[], list[dict[str, Tensor]]]) -> tuple[float, list[dict[str, Tensor]]]:
    """Return the wall seconds and what was made."""
    started = time.perf_counter()
    found = run()
    return time.perf_counter() - started, found


def race(task: Task, given: Deals, repeats: int) -> tuple[dict[str, float], float]:
    """Return median seconds of the loop, of one core and of all, and how far scores differ."""
    cores = os.cpu_count() or 1
    ways: dict[str, Callable[[], list[dict[str, Tensor]]]] = {
        "loop": lambda: by_loop(task, given),
        "one": lambda: by_us(task, given, 1),
        "all": lambda: by_us(task, given, cores),
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    apart = 0.0
    for repeat in range(repeats):
        found: dict[str, list[dict[str, Tensor]]] = {}
        order = list(ways)
        for way in order[repeat % 3 :] + order[: repeat % 3]:
            torch.set_num_threads(cores if way == "loop" else 1)
            took, found[way] = timed(ways[way])
            seconds[way].append(took)
        reference = scores(task, given, found["loop"])
        for way in ("one", "all"):
            gap = (scores(task, given, found[way]) - reference).abs()
            apart = max(apart, float((gap / reference.abs().clamp_min(1)).max()))
    return {way: median(took) for way, took in seconds.items()}, apart


def page(repeats: int, rounds: int, shadows: int, *, steps: tuple[int, ...] = STEPS) -> str:
    """Return the measured table."""
    rows = [
        f"# {shadows} shadow federations against a plain loop",
        "",
        f"Census data (Adult), 4 clients of 500 records, MLP, {rounds} rounds, {repeats} "
        f"repetitions interleaved on {os.cpu_count()} cores. Goals: never below 0.9x the loop, "
        "1.7x from two cores, scores equal to 1e-4.",
        "",
        head(
            "batch", "width", "local steps", "loop, s", "one core, s", "all cores, s",
            "loop / one core", "one core / all", "scores apart",
        ),
    ]  # fmt: skip
    for batch, width, local in product(BATCHES, WIDTHS, steps):
        task = job(batch, width, local, rounds)
        seconds, apart = race(task, deals(task, shadows), repeats)
        cells = [f"{seconds[way]:.2f}" for way in ("loop", "one", "all")]
        gains = [seconds["loop"] / seconds["one"], seconds["one"] / seconds["all"]]
        rows.append(
            line([batch, width, local, *cells, *(f"{g:.2f}" for g in gains), f"{apart:.1e}"])
        )
        print(rows[-1], flush=True)
    return "\n".join(rows) + "\n"


def spread(repeats: int, shadows: int) -> str:
    """Return the table of long work on one core and on all."""
    cores = os.cpu_count() or 1
    torch.set_num_threads(1)
    rows = [
        "",
        f"Long work, {repeats} repetitions interleaved (median, each):",
        "",
        head("batch", "width", "local steps", "rounds", "one core, s", "all cores, s", "ratio"),
    ]
    for (batch, width), rounds in LONG.items():
        task = job(batch, width, 4, rounds)
        given = deals(task, shadows)
        took: dict[int, list[float]] = {1: [], cores: []}
        for repeat in range(repeats):
            for each in sorted(took, reverse=bool(repeat % 2)):
                seconds, states = timed(
                    lambda given=given, task=task, c=each: by_us(task, given, c)
                )
                took[each].append(seconds)
                assert len(states) == shadows
        one, every = (median(took[each]) for each in (1, cores))
        shown = [" / ".join(f"{t:.1f}" for t in took[each]) for each in (1, cores)]
        rows.append(line([batch, width, 4, rounds, *shown, f"{one / every:.2f}"]))
        print(rows[-1], flush=True)
    return "\n".join(rows) + "\n"


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--shadows", type=int, default=SHADOWS)
    given = parser.parse_args()
    found = page(given.repeats, given.rounds, given.shadows) + spread(2, given.shadows)
    if given.out:
        given.out.write_text(found)


if __name__ == "__main__":
    main()
