"""Where the marks of a measurement lie on its small figure."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from ..core.results import Finding
from .words import figure, limits

WIDTH, MARGIN = 200.0, 8.0


@dataclass(frozen=True, kw_only=True, slots=True)
class IntervalFigure:
    """Positions in units of the drawing; `threshold` is where the tolerated gain ends.

    `start` and `end` label the axis; `description` says it all in words for those who
    can't see it.
    """

    value: float
    low: float
    high: float
    null: float
    prior: float
    control: float | None
    bound: float | None
    threshold: float | None
    start: str
    end: str
    description: str


def interval_figure(finding: Finding, tolerance: float) -> IntervalFigure:
    """Place a finding's marks on an axis from 0 to 1, or one that holds them all.

    A threshold is drawn only where the gate counts the finding.
    """
    control = finding.control.value if finding.control.kind != "none" else None
    threshold = max(finding.null, finding.prior) + tolerance if finding.gated else None
    numbers = (finding.value, *finding.ci, finding.null, finding.prior, control, finding.bound)
    low, high = _axis([n for n in numbers if n is not None and isfinite(n)])

    def x(number: float) -> float:
        """Return where a value lies on the axis."""
        share = (min(max(number, low), high) - low) / (high - low)
        return round(MARGIN + share * (WIDTH - 2 * MARGIN), 1)

    return IntervalFigure(
        value=x(finding.value),
        low=x(finding.ci[0]),
        high=x(finding.ci[1]),
        null=x(finding.null),
        prior=x(finding.prior),
        control=None if control is None else x(control),
        bound=None if finding.bound is None else x(finding.bound),
        threshold=None if threshold is None or threshold >= high else x(threshold),
        start=f"{low:.3g}",
        end=f"{high:.3g}",
        description=_description(finding, control, threshold),
    )


def _axis(numbers: list[float]) -> tuple[float, float]:
    low, high = min(numbers, default=0.0), max(numbers, default=1.0)
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    room = 0.08 * (high - low) or 1.0
    return (0.0 if 0 <= low < room else low - room), high + room


def _description(finding: Finding, control: float | None, threshold: float | None) -> str:
    parts = [
        f"measured {figure(finding.value)}",
        f"95 % limits {limits(finding.ci)}",
        f"null {figure(finding.null)}",
        f"prior {figure(finding.prior)}",
    ]
    for name, number in (
        ("positive control", control),
        ("bound", finding.bound),
        ("leak beyond", threshold),
    ):
        if number is not None:
            parts.append(f"{name} {figure(number)}")
    return ", ".join(parts)
