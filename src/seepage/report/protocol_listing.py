"""The protocols for secure sums in one table: what `seepage show protocols` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..crypto.protocol_card import ProtocolCard
from .protocols import MEASURED, ProtocolRow, protocol_rows
from .words import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

WIDE = 180
"""Columns from which what a protocol promises stands in the table, and not below it."""

_PROMISES = (("trust", "trust"), ("tolerates", "tolerates"), ("leaks beside the sum", "leaks"))
_FIGURES = (
    ("rounds", "rounds"),
    ("client ms", "client"),
    ("server ms", "server"),
    ("dealer ms", "dealer"),
    ("bytes", "size"),
)


def print_protocols(cards: Sequence[ProtocolCard], console: Console) -> None:
    """Print all protocols side by side; in narrow terminals their promises stand below."""
    from rich.text import Text

    wide = console.width >= WIDE
    rows = [(row, _here(card)) for row, card in zip(protocol_rows(cards), cards, strict=True)]
    console.print(Text(f"protocols ({len(rows)})", style="bold"))
    console.print(_wide(rows) if wide else _narrow(rows))
    console.print(Text(MEASURED, style="dim"))
    if not wide:
        for row, here in rows:
            console.print()
            console.print(Text(printable(row.name), style="bold"))
            console.print(_promises(row, here))
    console.print()


def _wide(rows: Sequence[tuple[ProtocolRow, Text]]) -> Table:
    table = _headed(_PROMISES, below=1)
    table.add_column("here", overflow="fold")
    for row, here in rows:
        table.add_row(*_told(row, (*_PROMISES, *_FIGURES)), here)
    return table


def _narrow(rows: Sequence[tuple[ProtocolRow, Text]]) -> Table:
    table = _headed((), below=0)
    for row, _ in rows:
        table.add_row(*_told(row, _FIGURES))
    return table


def _headed(promises: Sequence[tuple[str, str]], *, below: int) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, below, 0))
    table.add_column("protocol", no_wrap=True, style="bold")
    table.add_column("security", overflow="fold")
    for head, _ in promises:
        table.add_column(head, ratio=1)
    for head, _ in _FIGURES:
        table.add_column(head, justify="right")
    return table


def _told(row: ProtocolRow, columns: Sequence[tuple[str, str]]) -> list[Text]:
    from rich.text import Text

    names = ("name", "security", *(name for _, name in columns))
    return [Text(printable(getattr(row, name))) for name in names]


def _promises(row: ProtocolRow, here: Text) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim", width=9)
    table.add_column(ratio=1)
    for (head, _), told in zip(_PROMISES, _told(row, _PROMISES)[2:], strict=True):
        table.add_row(head.split()[0], told)
    table.add_row("here", here)
    return table


def _here(card: ProtocolCard) -> Text:
    """Return whether it can run on this machine, or how to get what it lacks."""
    from rich.text import Text

    how = card.missing()
    return Text(how, style="yellow") if how else Text("installed")
