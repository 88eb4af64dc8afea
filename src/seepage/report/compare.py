"""Two runs side by side: findings matched by id, and what defenses promise, cost and leave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..core.results import CLEAR, INCONCLUSIVE, LEAK, Finding, Result
from .sides import side_rows
from .words import figure, limits, printable

if TYPE_CHECKING:
    from rich.console import Console

_RANK = {CLEAR: 0, INCONCLUSIVE: 1, LEAK: 2}
_STYLES = {"worse": "red", "better": "green", "new": "yellow", "gone": "yellow"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One finding in two runs; None where a run does not have it."""

    id: str
    before: Finding | None
    after: Finding | None

    @property
    def kind(self) -> str:
        """Return `new`, `gone`, `worse`, `better` or `same`.

        The verdict decides; where it stays, only limits that do not overlap are a change.
        """
        a, b = self.before, self.after
        if a is None:
            return "new"
        if b is None:
            return "gone"
        if a.verdict != b.verdict:
            return "worse" if _RANK[b.verdict] > _RANK[a.verdict] else "better"
        if b.ci[0] > a.ci[1]:
            return "worse"
        return "better" if b.ci[1] < a.ci[0] else "same"


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Two audits side by side; `str()` gives the changes as plain lines."""

    verdicts: tuple[str, str]
    addresses: tuple[str, str]
    changes: tuple[Change, ...]
    sides: tuple[tuple[str, str, str], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain types."""
        return {
            "verdict": {"before": self.verdicts[0], "after": self.verdicts[1]},
            "sides": {what: {"before": a, "after": b} for what, a, b in self.sides},
            "findings": [
                {
                    "id": c.id,
                    "kind": c.kind,
                    "before": _side(c.before),
                    "after": _side(c.after),
                }
                for c in self.changes
            ],
        }

    def __str__(self) -> str:
        lines = [f"verdict: {self.verdicts[0]} -> {self.verdicts[1]}"]
        lines += [
            f"{c.kind:<6} {printable(c.id)}: {_shown(c.before)} -> {_shown(c.after)}"
            for c in self.changes
        ]
        lines += [f"{what}: {a} -> {b}" for what, a, b in self.sides]
        return "\n".join(lines)


def compare(before: Result, after: Result) -> Comparison:
    """Match findings by id; what got worse comes first, what stayed the same last."""
    a, b = ({f.id: f for f in r.findings} for r in (before, after))
    changes = [Change(id=i, before=a.get(i), after=b.get(i)) for i in dict.fromkeys([*a, *b])]
    order = ("worse", "new", "gone", "better", "same")
    return Comparison(
        verdicts=(before.verdict, after.verdict),
        addresses=(before.address, after.address),
        changes=tuple(sorted(changes, key=lambda c: (order.index(c.kind), c.id))),
        sides=tuple(side_rows(before, after)),
    )


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print the verdicts, what stands on either side, and a table of the findings."""
    from rich.table import Table
    from rich.text import Text

    console.print(Text(f"{comparison.verdicts[0]} -> {comparison.verdicts[1]}", style="bold"))
    if comparison.addresses[0] == comparison.addresses[1]:
        console.print(Text("both are the same run: same plan, data, seed and code", style="dim"))
    sides = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("", "before", "after"):
        sides.add_column(title, overflow="fold")
    for row in comparison.sides:
        sides.add_row(*(Text(printable(cell)) for cell in row))
    console.print(sides)
    console.print()
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("change", no_wrap=True)
    table.add_column("finding", overflow="fold", ratio=1)
    table.add_column("before")
    table.add_column("after")
    for change in comparison.changes:
        style = _STYLES.get(change.kind, "dim")
        table.add_row(
            Text(change.kind, style=style),
            Text(printable(change.id)),
            Text(_shown(change.before, "\n")),
            Text(_shown(change.after, "\n")),
        )
    if comparison.changes:
        console.print(table)
    else:
        console.print(Text("neither run has a finding"))


def _shown(finding: Finding | None, gap: str = " ") -> str:
    if finding is None:
        return "not there"
    bound = "" if finding.bound is None else f"{gap}bound {figure(finding.bound)}"
    return f"{finding.verdict} {figure(finding.value)}{gap}{limits(finding.ci)}{bound}"


def _side(finding: Finding | None) -> dict[str, Any] | None:
    if finding is None:
        return None
    return {
        "value": finding.value,
        "ci": list(finding.ci),
        "bound": finding.bound,
        "verdict": finding.verdict,
    }
