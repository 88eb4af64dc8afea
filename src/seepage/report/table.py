"""The terminal view of a result: verdict, findings, and what a reader must know of them."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING

from ..core.results import Finding, Result
from .budget import remarks
from .digest import VERDICTS, cautions, counts, ranked
from .exposed import sentences
from .guarantees import tested
from .listing import cards_json, print_card, print_cards
from .protocol_listing import print_protocols
from .sum_in_force import sum_in_force
from .utility import utility_rows
from .words import epsilon, figure, limits, printable, short_metric

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

__all__ = ["cards_json", "print_card", "print_cards", "print_protocols", "print_result"]

STYLES = {"leak": "bold red", "inconclusive": "bold yellow", "pass": "bold green", "clear": "green"}
ROOMY = 100
"""Columns from which null, prior and moment have columns of their own."""


def print_result(result: Result, console: Console) -> None:
    """Print a result as text; below 100 columns the table drops to its essentials."""
    from rich.text import Text

    verdict = Text(VERDICTS[result.verdict][0].upper(), style=STYLES[result.verdict])
    console.print(verdict.append(f"  {printable(result.reason)}", style="not bold default"))
    if result.findings:
        console.print()
        console.print(_findings(ranked(result.findings), roomy=console.width >= ROOMY))
    for caution in cautions(result):
        console.print()
        console.print(Text(caution.title, style="bold yellow"))
        _list(console, caution.items)
    if result.not_run:
        console.print()
        console.print(Text("Did not run", style="bold"))
        _list(
            console,
            tuple(
                f"{n.attack} · {n.task} · {n.observer} · {n.moment}: {n.reason}"
                f"{'' if n.gated else ' (does not count)'}"
                for n in result.not_run
            ),
        )
    console.print()
    for line in _closing(result):
        console.print(Text(printable(line)))
    for line in _commands(result):
        console.print(Text(printable(line)), soft_wrap=True)  # so that it can be copied


def _findings(findings: list[Finding], *, roomy: bool) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("finding", overflow="fold")
    table.add_column("attack", overflow="fold")
    if roomy:
        table.add_column("moment", overflow="fold")
    table.add_column("metric", overflow="fold")
    table.add_column("value", no_wrap=True)
    for name in ("null", "prior") if roomy else ("guess",):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("control", justify="right")
    table.add_column("verdict", no_wrap=True)
    for finding in findings:
        table.add_row(*_row(finding, roomy=roomy))
    return table


def _row(finding: Finding, *, roomy: bool) -> list[Text]:
    from rich.text import Text

    place = f"{finding.task}/\n{finding.observer}"
    control, guess = finding.control, (finding.null, finding.prior)
    blunt = control.kind != "none" and not control.leaked
    row = [
        Text(printable(place if roomy else f"{place}/\n{finding.moment}")),
        Text(fill(printable(finding.attack), 20 if roomy else 14)),
        *([Text(printable(finding.moment))] if roomy else []),
        Text(printable(short_metric(finding.metric))),
        Text(f"{figure(finding.value)}\n{limits(finding.ci)}"),
        *[Text(figure(g)) for g in (guess if roomy else (max(guess),))],
        Text("none" if control.kind == "none" else figure(control.value) + "!" * blunt),
        Text(finding.verdict, style=STYLES[finding.verdict] if counts(finding) else ""),
    ]
    if finding.accepted is not None and finding.gated:
        row[-1].append("\naccepted")
    elif not finding.gated:
        row[-1].append("\nnot counted")
    if not counts(finding):
        for cell in row:
            cell.stylize("dim")
    return row


def _list(console: Console, items: tuple[str, ...]) -> None:
    from rich.padding import Padding
    from rich.text import Text

    for item in items:
        console.print(Padding(Text(printable(item)), (0, 0, 0, 2)))


def _closing(result: Result) -> list[str]:
    lines: list[str] = []
    for record in result.privacy:
        job = f" ({record.task})" if record.task else ""
        lines.append(
            f"epsilon {epsilon(record.total_epsilon)} in total over {record.releases} releases "
            f"({epsilon(record.per_release_epsilon)} each), delta {record.delta:g}, per "
            f"{record.unit}, {record.adjacency}, against {record.observer}: {record.mechanism}{job}"
        )
        lines += [f"  {remark}" for remark in remarks(record)]
    lines += [f"{test.task}: {tested(test)}" for test in result.guarantees]
    lines += sentences(ranked(result.findings))
    if summed := sum_in_force(result):
        lines.append(f"secure sum: {summed.told} (compare: seepage show protocols)")
    lines += [
        f"{what}: undefended {before or '-'}, defended {after or '-'}"
        for what, before, after in utility_rows(result.utility)
    ]
    return lines


def _commands(result: Result) -> list[str]:
    where = [] if result.folder is None else [f"report: {result.folder / 'report.html'}"]
    return [*where, f"replay: {result.replay}"]
