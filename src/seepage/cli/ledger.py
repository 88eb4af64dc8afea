"""`seepage ledger`: what each client has spent of its budget; nothing is charged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.table import Table

    from ..accounting.ledger_statement import ClientStatement, LedgerStatement


@click.command()
@click.argument("path", type=click.Path())
@click.option(
    "--if-planned",
    is_flag=True,
    help="Show what a plan fixed in advance would make of the same charges (may take long).",
)
@click.option("--json", "as_json", is_flag=True, help="Print the statement as JSON.")
def ledger(*, path: str, if_planned: bool, as_json: bool) -> None:
    """Show what each client has spent, its budget, and its last release; the file stays as it is.

    PATH is a file that seepage.accounting.Ledger made.
    """
    from ..accounting.ledger_statement import read_ledger

    statement = read_ledger(path, if_planned=if_planned)
    if as_json:
        from dataclasses import asdict

        from .audit import dump

        dump(asdict(statement) | {"path": str(statement.path)})
        return
    from ..report.table import ROOMY
    from .terminal import Terminal

    count = len(statement.clients)
    terminal = Terminal()
    terminal.print(
        f"epsilon {statement.target_epsilon:g} at delta {statement.target_delta:g} for each client "
        f"in all; {count} client{'' if count == 1 else 's'} charged",
        highlight=False,
    )
    if count:
        roomy = terminal.width >= ROOMY
        terminal.print(_table(statement, if_planned=if_planned, roomy=roomy))


def _table(statement: LedgerStatement, *, if_planned: bool, roomy: bool) -> Table:
    from rich.table import Table
    from rich.text import Text

    from ..report.words import printable

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("client", overflow="fold")
    for name in ("spent", *(["if planned"] if if_planned else []), "of", "used", "charges"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("last release", overflow="fold", min_width=len("last release"))
    table.add_column("at (UTC)", no_wrap=True)
    if roomy:
        table.add_column("holds for", overflow="fold")
    for one in statement.clients:
        planned = [f"{one.spent_if_planned:.4g}"] if one.spent_if_planned is not None else []
        row = (
            one.client,
            f"{one.spent:.4g}",
            *planned,
            f"{statement.target_epsilon:g}",
            f"{one.share:.0%}",
            one.charges,
            one.last_release,
            one.last_charged_at[:16].replace("T", " "),
            *([_terms(one)] if roomy else []),
        )
        table.add_row(*(Text(printable(value)) for value in row))
    return table


def _terms(one: ClientStatement) -> str:
    """Return what the client's charges hold for, as far as they said."""
    against = f"against {one.observer}" if one.observer else None
    return ", ".join(said for said in (one.unit, one.adjacency, against) if said)
