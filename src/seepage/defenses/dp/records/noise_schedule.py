"""Noise that changes over time by a public schedule (ADP-SGD: Wu et al. 2021, arXiv 2110.07435).

Step t adds noise of multiplier z alpha_t. The alphas are held for some steps each, so that a
schedule is a short list, and composing it is exact: each stage is one mechanism of as many
releases. What an alpha is fitted to must be public, such as a learning rate's decay.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from math import isfinite, sqrt
from typing import Any

from ....core.errors import UsageError

Schedule = tuple[tuple[int, float], ...]
"""(first step, factor on the noise multiplier) of each stage; empty: 1 throughout."""


def schedule_of(owner: str, stages: Sequence[Sequence[Any]]) -> Schedule:
    """Return `stages` checked, and as tuples; raise `UsageError` where they are no schedule."""
    try:
        schedule = tuple((int(start), float(factor)) for start, factor in stages)
    except (TypeError, ValueError):
        raise UsageError(
            f"{owner}: noise_schedule is {stages!r}; give pairs of first step and factor, "
            "such as [[0, 1.0], [100, 0.8]]"
        ) from None
    starts = [start for start, _ in schedule]
    if schedule and (starts[0] != 0 or starts != sorted(set(starts))):
        raise UsageError(f"{owner}: noise_schedule starts at {starts}; begin with 0 and ascend")
    if any(not (factor > 0 and isfinite(factor)) for _, factor in schedule):
        raise UsageError(f"{owner}: a factor of noise_schedule is not a finite number above 0")
    return schedule


def factor_at(schedule: Schedule, number: int) -> float:
    """Return the factor of step `number`, from 0.

    >>> factor_at(((0, 1.0), (100, 0.8)), 99), factor_at(((0, 1.0), (100, 0.8)), 100)
    (1.0, 0.8)
    """
    return next((factor for start, factor in reversed(schedule) if start <= number), 1.0)


def steps_by_factor(schedule: Schedule, steps: int) -> dict[float, int]:
    """Return how many of the first `steps` steps each factor has, least noise first.

    >>> steps_by_factor(((0, 1.0), (100, 0.8)), 150)
    {0.8: 50, 1.0: 100}
    """
    stages = schedule or ((0, 1.0),)
    ends = [start for start, _ in stages[1:]] + [steps]
    counted: Counter[float] = Counter()
    for (start, factor), end in zip(stages, ends, strict=True):
        counted[factor] += max(0, min(end, steps) - start)
    return {factor: counted[factor] for factor in sorted(counted) if counted[factor]}


def staged(alpha: Callable[[int], float], steps: int, stages: int = 20) -> Schedule:
    """Return a schedule of `stages` equal stages that follows `alpha(step)` over `steps` steps.

    Each stage holds the root of the harmonic mean of its alphas' squares, so that without
    sampling it gives away as much as they would.

    >>> [round(factor, 2) for _, factor in staged(lambda t: 1 / (1 + t), 4, 2)]
    [0.63, 0.28]
    """
    if steps < 1 or not 1 <= stages <= steps:
        raise UsageError(f"{steps} steps can't be held in {stages} stages; use 1 to {steps} stages")
    bounds = [steps * k // stages for k in range(stages + 1)]
    return tuple(
        (start, sqrt((end - start) / sum(alpha(t) ** -2 for t in range(start, end))))
        for start, end in pairwise(bounds)
    )
