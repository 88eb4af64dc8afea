"""Axes of the figures: where a value lies, and which values are marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10


@dataclass(frozen=True, slots=True)
class Tick:
    """A marked value: where it lies and what it is called."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class LogAxis:
    """A logarithmic axis over [low, high], 0 < low < high, drawn from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Return where a value lies; what is off the axis lies at its end.

        >>> LogAxis(0.01, 1.0, 0.0, 100.0).at(0.1), LogAxis(0.01, 1.0, 0.0, 100.0).at(0.0)
        (50.0, 0.0)
        """
        inside = min(max(value, self.low), self.high)
        share = log10(inside / self.low) / log10(self.high / self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def decades(self) -> list[float]:
        """Return the powers of ten on the axis."""
        first, last = ceil(log10(self.low) - 1e-9), floor(log10(self.high) + 1e-9)
        return [10.0**k for k in range(first, last + 1)]

    def percent_ticks(self) -> list[Tick]:
        """Return the powers of ten, named in percent.

        >>> [tick.label for tick in LogAxis(0.001, 1.0, 0.0, 1.0).percent_ticks()]
        ['0.1 %', '1 %', '10 %', '100 %']
        """
        return [Tick(self.at(value), f"{100 * value:g} %") for value in self.decades()]


@dataclass(frozen=True, slots=True)
class LinearAxis:
    """A linear axis over [low, high], low < high, drawn from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Return where a value lies; what is off the axis lies at its end."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self) -> list[Tick]:
        """Return five values or fewer, evenly apart and round.

        >>> [tick.label for tick in LinearAxis(0.0, 1.0, 0.0, 1.0).ticks()]
        ['0', '0.25', '0.5', '0.75', '1']
        """
        rough = (self.high - self.low) / 4
        size = 10.0 ** floor(log10(rough))
        step = next(k * size for k in (1, 2, 2.5, 5, 10) if k * size >= rough * 0.999)
        first, last = ceil(self.low / step - 1e-9), floor(self.high / step + 1e-9)
        return [Tick(self.at(k * step), f"{k * step:g}") for k in range(first, last + 1)]


def path(points: Sequence[tuple[float, float]], *, closed: bool = False) -> str:
    """Return the data of an SVG path through points.

    >>> path([(0.0, 1.5), (2.0, 3.0)])
    'M0 1.5L2 3'
    """
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in points) + ("z" if closed else "")
