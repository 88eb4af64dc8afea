"""Where what was measured, and a guarantee's curve beside it, lie on their figure.

Both axes are logarithmic: what counts in privacy is the low end, where a linear axis shows
nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import floor, log10

from ..core.results import Curve, Finding
from .axes import LogAxis, Tick, path
from .words import figure, limits, percent

WIDTH, HEIGHT = 340.0, 246.0
LEFT, RIGHT, TOP, BOTTOM = 50.0, 318.0, 10.0, 206.0
MOST = 8
"""Figures of a report at most; all curves stand in `result.json`."""

_AXES = {
    "roc": ("false-positive rate", "true-positive rate"),
    "rero": ("chance of a blind guess", "reconstructed"),
}
_LEAST = {"roc": 1e-3, "rero": 1e-4}
"""Where axes start that no bound starts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """A measured point with its limits; `below`: its value lies below the axis."""

    x: float
    y: float
    low: float
    high: float
    below: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class CurveFigure:
    """Paths and positions in units of the drawing, y downwards.

    `beyond` is the area that the guarantee rules out (empty, as `bound` is, where there is none),
    `band` the limits of a measured line; a single measured point is a mark. `summary` says it in
    words.
    """

    finding: Finding
    bound: str
    beyond: str
    guess: str
    band: str
    line: str
    marks: tuple[Mark, ...]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    x_name: str
    y_name: str
    summary: str


def curve_figures(findings: Iterable[Finding]) -> list[CurveFigure]:
    """Return the figures of the findings that have curves, in their order."""
    return [curve_figure(f, f.curve) for f in findings if f.curve is not None]


def beside_guarantees(findings: Iterable[Finding]) -> list[CurveFigure]:
    """Return the figures that have a bound, but those that stand with their memberships."""
    return curve_figures(
        f for f in findings if f.membership is None and f.curve is not None and f.curve.bound
    )


def curve_figure(finding: Finding, curve: Curve) -> CurveFigure:
    """Place a curve and its measured points on axes from a power of ten to 1."""
    low = _lowest(curve)
    x = LogAxis(low, 1.0, LEFT, RIGHT)
    y = LogAxis(low, 1.0, BOTTOM, TOP)
    bound = [(x.at(a), y.at(b)) for a, b in curve.bound if a >= low]
    several = len(curve.measured) > 1
    upper = [(x.at(a), y.at(high)) for a, _, _, high in curve.measured]
    lower = [(x.at(a), y.at(least)) for a, _, least, _ in curve.measured]
    names = _AXES[curve.kind]
    return CurveFigure(
        finding=finding,
        bound=path(bound) if bound else "",
        beyond=path([*bound, (RIGHT, TOP), (LEFT, TOP)], closed=True) if bound else "",
        guess=path([(LEFT, BOTTOM), (RIGHT, TOP)]),
        band=path([*upper, *reversed(lower)], closed=True) if several else "",
        line=path([(x.at(a), y.at(v)) for a, v, _, _ in curve.measured]) if several else "",
        marks=tuple(
            Mark(x=x.at(a), y=y.at(v), low=y.at(least), high=y.at(high), below=v < low)
            for a, v, least, high in curve.measured
            if not several
        ),
        x_ticks=x.percent_ticks(),
        y_ticks=y.percent_ticks(),
        x_name=names[0],
        y_name=names[1],
        summary=_summary(finding, curve),
    )


def _lowest(curve: Curve) -> float:
    """Return the power of ten below all measured x, and no more than 0.1 %."""
    first = min((point[0] for point in curve.measured), default=1.0)
    below = 10.0 ** floor(log10(first) - 0.01) if first > 0 else 1.0
    return max(min(1e-3, below), _first(curve))


def _first(curve: Curve) -> float:
    """Return the least x of which anything could be told."""
    return curve.bound[0][0] if curve.bound else _LEAST[curve.kind]


def _summary(finding: Finding, curve: Curve) -> str:
    allowed = "" if finding.bound is None else f"; the guarantee allows {figure(finding.bound)}"
    seen = f"{figure(finding.value)} {limits(finding.ci)}"
    if curve.kind == "rero" and curve.measured:
        prior = percent(curve.measured[0][0])
        return f"Identification rate {seen}, where a blind guess has {prior}{allowed}."
    few = " There are too few outsiders to measure it."
    if curve.measured:
        first = curve.measured[0][0]
        few = (
            ""
            if first <= _first(curve)
            else (f" Below a rate of {percent(first)} there are too few outsiders to measure.")
        )
    return f"AUC {seen}{allowed}.{few}"
