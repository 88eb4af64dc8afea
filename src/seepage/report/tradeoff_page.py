"""A page that draws trade-offs: utility and each leakage over the total epsilon."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite

from .axes import LinearAxis, LogAxis, Tick, path
from .curve_figure import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH
from .pages import environment
from .tradeoff import Point, Tradeoff, shown_epsilon
from .words import metric

_NONE_AT = RIGHT - 14
_LAST = RIGHT - 44
"""Where the axis of epsilons ends, beside the place of runs without any."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """A measured point: its place, limits and verdict (empty for utility)."""

    x: float
    y: float
    low: float
    high: float
    verdict: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """One figure over epsilon; paths are empty where there is nothing to join."""

    title: str
    line: str
    bound: str
    guess: str
    marks: tuple[Seen, ...]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    description: str


@dataclass(frozen=True, kw_only=True, slots=True)
class _Measured:
    value: float
    ci: tuple[float, float]
    bound: float | None = None
    guess: float | None = None
    verdict: str = ""


def render_tradeoffs(found: Sequence[Tradeoff]) -> str:
    """Return one self-contained page."""
    return (
        environment()
        .get_template("tradeoff.html.j2")
        .render(
            tradeoffs=[(tradeoff, panels(tradeoff)) for tradeoff in found],
            shown_epsilon=shown_epsilon,
            width=WIDTH,
            height=HEIGHT,
        )
    )


def panels(tradeoff: Tradeoff) -> list[Panel]:
    """Return the figures of a job: utility, then each finding."""
    name = next((p.utility["metric"] for p in tradeoff.points if p.utility), "quality")
    leaks = [
        _panel(f"{attack}: {metric(kind)}", tradeoff, _leaked(finding))
        for finding, (attack, kind) in tradeoff.findings.items()
    ]
    return [_panel(f"Utility: {name}, held out", tradeoff, _useful), *leaks]


def _useful(point: Point) -> _Measured | None:
    quality = point.utility
    if "test" not in quality:
        return None
    score = quality["test"]
    low, high = quality.get("test_ci", (score, score))
    return _Measured(value=score, ci=(low, high))


def _leaked(finding: str) -> Callable[[Point], _Measured | None]:
    def of(point: Point) -> _Measured | None:
        """Return a finding's measurement at a point."""
        seen = point.leakage.get(finding)
        if seen is None:
            return None
        return _Measured(
            value=seen.value, ci=seen.ci, bound=seen.bound, guess=seen.guess, verdict=seen.verdict
        )

    return of


def _panel(title: str, tradeoff: Tradeoff, measured: Callable[[Point], _Measured | None]) -> Panel:
    axis = _epsilon_axis(tradeoff)
    found = [(p, m) for p in tradeoff.points if (m := measured(p)) is not None]
    numbers = [n for _, m in found for n in (m.value, *m.ci)]
    low, high = min([0.0, *numbers]), max([1.0, *numbers])
    y = LinearAxis(low, high, BOTTOM, TOP)

    def x(point: Point) -> float:
        """Return where a run stands."""
        return axis.at(point.epsilon) if isfinite(point.epsilon) else _NONE_AT

    def joined(of: Callable[[_Measured], float | None]) -> str:
        """Return the path through what the runs with an epsilon have."""
        line = [
            (x(p), y.at(v)) for p, m in found if isfinite(p.epsilon) and (v := of(m)) is not None
        ]
        return path(line) if len(line) > 1 else ""

    return Panel(
        title=title,
        line=joined(lambda m: m.value),
        bound=joined(lambda m: m.bound),
        guess=joined(lambda m: m.guess),
        marks=tuple(
            Seen(x=x(p), y=y.at(m.value), low=y.at(m.ci[0]), high=y.at(m.ci[1]), verdict=m.verdict)
            for p, m in found
        ),
        x_ticks=_epsilon_ticks(axis, tradeoff),
        y_ticks=y.ticks(),
        description="; ".join(f"epsilon {shown_epsilon(p)}: {m.value:.3g}" for p, m in found),
    )


def _epsilon_axis(tradeoff: Tradeoff) -> LogAxis:
    known = [p.epsilon for p in tradeoff.points if isfinite(p.epsilon) and p.epsilon > 0]
    low, high = (min(known), max(known)) if known else (1.0, 1.0)
    bare = any(not isfinite(p.epsilon) for p in tradeoff.points)
    return LogAxis(low / 1.5, high * 1.5, LEFT, _LAST if bare else RIGHT)


def _epsilon_ticks(axis: LogAxis, tradeoff: Tradeoff) -> list[Tick]:
    """Return round epsilons about evenly apart, and `none` where a run has no epsilon."""
    rounds = [
        k * decade
        for decade in LogAxis(axis.low / 10, axis.high, 0, 1).decades()
        for k in (1, 2, 5)
    ]
    inside = [value for value in rounds if axis.low <= value <= axis.high]
    if len(inside) > 6:
        inside = [value for value in inside if value in axis.decades()]
    ticks = [Tick(axis.at(value), f"{value:g}") for value in inside]
    bare = any(not isfinite(p.epsilon) for p in tradeoff.points)
    return [*ticks, *([Tick(_NONE_AT, "none")] if bare else [])]
