"""The terminal view of a trade-off: a row a run, utility first, then what leaked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..core.results import CLEAR, INCONCLUSIVE, LEAK
from .tradeoff import Leakage, Point, Tradeoff, shown_epsilon
from .words import figure, limits, printable, short_metric

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_COLUMN = 17
_STYLES = {LEAK: "red", INCONCLUSIVE: "yellow", CLEAR: "green"}


def print_tradeoffs(found: Sequence[Tradeoff], console: Console) -> None:
    """Print each job's runs; what does not fit the width follows in a further table."""
    from rich.table import Table
    from rich.text import Text

    for tradeoff in found:
        console.print(Text(f"{printable(tradeoff.task)}: utility and leakage over epsilon", "bold"))
        about = f"epsilon in total, delta {tradeoff.delta:g}, of {tradeoff.guarantee}"
        console.print(Text(printable(about), style="dim"))
        setting = max(len(p.setting) for p in tradeoff.points)
        fixed = 9 + min(setting, 24)
        fit = max(1, (console.width - fixed) // _COLUMN)
        columns = _columns(tradeoff)
        for first in range(0, len(columns), fit):
            table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
            table.add_column("epsilon", no_wrap=True)
            table.add_column("setting", overflow="fold", max_width=24)
            for title, _ in columns[first : first + fit]:
                table.add_column(title, overflow="fold", width=_COLUMN - 1)
            for point in tradeoff.points:
                cells = [cell(point) for _, cell in columns[first : first + fit]]
                table.add_row(shown_epsilon(point), Text(printable(point.setting)), *cells)
            console.print()
            console.print(table)
        console.print()


def _columns(tradeoff: Tradeoff) -> list[tuple[str, Callable[[Point], Text]]]:
    metric = next((p.utility["metric"] for p in tradeoff.points if p.utility), "quality")
    findings = [
        (f"{attack} {short_metric(metric)}", _leaked(name))
        for name, (attack, metric) in tradeoff.findings.items()
    ]
    return [(f"{metric}, held out", _useful), *findings]


def _useful(point: Point) -> Text:
    from rich.text import Text

    quality = point.utility
    if "test" not in quality:
        return Text("-")
    ci = quality.get("test_ci")
    return Text(f"{quality['test']:.3f}" + (f"\n[{ci[0]:.3f}, {ci[1]:.3f}]" if ci else ""))


def _leaked(name: str) -> Callable[[Point], Text]:
    """Return what shows a finding's measurement at a point."""
    from rich.text import Text

    def shown(point: Point) -> Text:
        """Return value, limits, bound."""
        seen: Leakage | None = point.leakage.get(name)
        if seen is None:
            return Text("-")
        bound = "" if seen.bound is None else f"\nbound {figure(seen.bound)}"
        head = f"{figure(seen.value)} {seen.verdict}\n{limits(seen.ci)}{bound}"
        return Text(head, style=_STYLES.get(seen.verdict, "dim"))

    return shown
