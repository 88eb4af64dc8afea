"""Confidence limits, and what many of them at once must pay.

Rates are given per independent unit (a batch's share of hits), because records of one
batch stand or fall together; each unit counts once, which any dependence inside a unit
can only make conservative.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv
from scipy.stats import norm

Floats = NDArray[np.float64]


class Estimate(Protocol):
    """A figure that knows its own uncertainty."""

    @property
    def value(self) -> float:
        """Return the point estimate."""
        ...

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return two-sided confidence limits at `level`."""
        ...


def clopper_pearson(hits: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Return exact two-sided limits of a rate (Clopper & Pearson 1934).

    `hits` may be fractional, as a sum of shares is (Korn & Graubard 1998).

    >>> [round(x, 4) for x in clopper_pearson(0, 72)]
    [0.0, 0.0499]
    """
    if n <= 0:
        return 0.0, 1.0
    tail = (1 - level) / 2
    low = 0.0 if hits <= 0 else float(betaincinv(hits, n - hits + 1, tail))
    high = 1.0 if hits >= n else float(betaincinv(hits + 1, n - hits, 1 - tail))
    return low, high


@dataclass(frozen=True, slots=True)
class Rate:
    """A mean of shares in [0, 1], one an independent unit."""

    units: Floats

    @property
    def value(self) -> float:
        """Return the mean share, 0 where there is no unit."""
        return float(self.units.mean()) if len(self.units) else 0.0

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return Clopper-Pearson limits with every unit counted once."""
        return clopper_pearson(float(self.units.sum()), len(self.units), level)


@dataclass(frozen=True, slots=True)
class Difference:
    """`first - second` by the square-and-add method (Newcombe 1998; Zou & Donner 2008)."""

    first: Estimate
    second: Estimate

    @property
    def value(self) -> float:
        """Return the difference of the point estimates."""
        return self.first.value - self.second.value

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return limits that recover each side's variance from its own limits."""
        a, b, d = self.first.value, self.second.value, self.value
        (a_low, a_high), (b_low, b_high) = self.first.interval(level), self.second.interval(level)
        low = d - float(np.hypot(a - a_low, b_high - b))
        return low, d + float(np.hypot(a_high - a, b - b_low))


@dataclass(frozen=True, slots=True)
class Resampled:
    """A statistic with its bootstrap replicates."""

    value: float
    replicates: Floats

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return percentile limits; normal ones where a tail holds under ten replicates."""
        tail = (1 - level) / 2
        if tail * len(self.replicates) >= 10:
            low, high = np.quantile(self.replicates, [tail, 1 - tail])
            return float(low), float(high)
        reach = float(norm.ppf(1 - tail)) * float(self.replicates.std(ddof=1))
        return self.value - reach, self.value + reach


def bootstrap(
    statistic: Callable[..., Floats],
    groups: Sequence[Floats],
    rng: np.random.Generator,
    resamples: int = 2000,
) -> Resampled:
    """Resample each group on its own (stratified bootstrap, Efron 1979).

    `statistic` takes one array `[resamples, n_i, ...]` a group and returns `[resamples]`;
    groups are `[n_i, ...]`, so that scores of one record can be drawn together.
    """
    draws = [g[rng.integers(len(g), size=(resamples, len(g)))] for g in groups]
    point = statistic(*(g[None] for g in groups))
    return Resampled(float(point[0]), statistic(*draws))


def p_value(excludes: Callable[[float], bool]) -> float:
    """Return the least alpha at which the level-(1 - alpha) limits exclude a hypothesis.

    `excludes(level)` must be monotone: true at small levels where it ever is.
    """
    if not excludes(1e-6):
        return 1.0
    low, high = 1e-9, 1.0
    if excludes(1 - low):
        return low
    while high / low > 1.001:
        middle = float(np.sqrt(low * high))
        low, high = (low, middle) if excludes(1 - middle) else (middle, high)
    return high


def holm(p_values: Sequence[float], alpha: float = 0.05) -> list[bool]:
    """Return which hypotheses fall, with family-wise error at most `alpha` (Holm 1979).

    >>> holm([0.001, 0.04, 0.03])
    [True, False, False]
    """
    rejected = [False] * len(p_values)
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if p_values[index] > alpha / (len(p_values) - rank):
            break
        rejected[index] = True
    return rejected


def units_for_clear(tolerance: float, findings: int, alpha: float = 0.05) -> int:
    """Return the number of units at which none hit bounds a rate by `tolerance`.

    Every one of `findings` hypotheses may have to stand at Holm's strictest level.

    >>> units_for_clear(0.05, 1)
    72
    """
    tail = alpha / max(findings, 1) / 2
    return int(np.ceil(np.log(tail) / np.log1p(-tolerance)))
