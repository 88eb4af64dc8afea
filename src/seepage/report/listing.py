"""Cards as text and as JSON: what `seepage list` and `seepage show` print."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from enum import Enum
from typing import TYPE_CHECKING, Any

from ..core.cards import Card, DefenseCard, Parameter
from ..core.threat import ObserverCard
from ..crypto.cards import protocol_card
from ..crypto.protocol_card import ProtocolCard
from .protocols import protocol_facts
from .words import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

AnyCard = Card | ObserverCard
Cards = Mapping[str, AnyCard] | Iterable[AnyCard]

_NOTHING: tuple[Any, ...] = ("", (), None, {}, False)
_SKIPPED = ("name", "summary", "parameters")
_IN_WORDS = {f.name for f in fields(ProtocolCard)} - {f.name for f in fields(Card)}
"""Of a protocol: `protocol_facts` tells them."""


def cards_json(kind: str, cards: Cards) -> list[dict[str, Any]]:
    """Return the cards of a kind in plain types, all fields of each.

    Those of protocols say besides how to get what is `missing` here.
    """
    return [
        {"kind": kind}
        | {f.name: _plain(getattr(card, f.name)) for f in fields(card)}
        | ({"missing": card.missing()} if isinstance(card, ProtocolCard) else {})
        for card in _each(cards)
    ]


def print_cards(kind: str, cards: Cards, console: Console) -> None:
    """Print a table of cards: name, what matters most of this kind, summary."""
    from rich.table import Table
    from rich.text import Text

    rows = _each(cards)
    heads = _heads(kind)
    console.print(Text(f"{kind} ({len(rows)})", style="bold"))
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("name", no_wrap=True)
    for head in heads:
        table.add_column(head, overflow="fold")
    table.add_column("summary", ratio=1)
    for card in rows:
        table.add_row(
            Text(printable(_plain(card.name)), style="bold"),
            *[Text(printable(_words(getattr(card, head, "")))) for head in heads],
            Text(printable(card.summary)) + _missing(card),
        )
    console.print(table)
    console.print()


def print_card(card: AnyCard, console: Console, kind: str = "") -> None:
    """Print all that a card says, its protocol's facts, and its parameters with their defaults.

    `kind` says what it is, where something of another kind has the same name.
    """
    from rich.table import Table
    from rich.text import Text

    head = Text(printable(_plain(card.name)), style="bold")
    console.print(head.append(f" ({kind})" if kind else "", style="not bold dim"))
    console.print(Text(printable(card.summary)) + _missing(card))
    console.print()
    facts = Table(box=None, pad_edge=False, show_header=False)
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(ratio=1)
    for what, how in _facts(card):
        facts.add_row(what, Text(printable(how)))
    console.print(facts)
    parameters = card.parameters if isinstance(card, Card) else ()
    if parameters:
        console.print()
        console.print(_parameters(parameters))


def _facts(card: AnyCard) -> list[tuple[str, str]]:
    protocol = _protocol(card)
    skipped = {*_SKIPPED, *(_IN_WORDS if isinstance(card, ProtocolCard) else ())}
    facts = [
        (f.name.replace("_", " "), _words(value))
        for f in fields(card)
        if f.name not in skipped and (value := getattr(card, f.name)) not in _NOTHING
    ]
    return facts + (protocol_facts(protocol) if protocol else [])


def _protocol(card: AnyCard) -> ProtocolCard | None:
    """Return the protocol that a card is of, or that its defense runs."""
    if isinstance(card, ProtocolCard):
        return card
    named = isinstance(card, DefenseCard) and card.protocol
    return protocol_card(named) if named else None


def _missing(card: AnyCard) -> Text:
    """Return what has to be installed before this can be used, if anything."""
    from rich.text import Text

    protocol = _protocol(card)
    how = protocol.missing() if protocol else ""
    return Text(f" Not installed here: {how}" if how else "", style="yellow")


def _parameters(parameters: Iterable[Parameter]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("parameter", no_wrap=True)
    table.add_column("default", overflow="fold")
    table.add_column("meaning", ratio=1)
    for p in parameters:
        default = "" if p.default is None else repr(p.default)
        row = (Text(p.name, style="bold"), Text(printable(default)), Text(printable(p.summary)))
        table.add_row(*row)
    return table


def _heads(kind: str) -> tuple[str, ...]:
    return {
        "attacks": ("claims", "cost"),
        "defenses": ("guarantee",),
        "protocols": ("security",),
        "observers": ("audited",),
    }.get(kind, ())


def _each(cards: Cards) -> list[AnyCard]:
    return list(cards.values()) if isinstance(cards, Mapping) else list(cards)


def _words(value: Any) -> str:
    plain = _plain(value)
    if isinstance(plain, list):
        return ", ".join(map(str, plain))
    if isinstance(plain, dict):
        return ", ".join(f"{k} = {v}" for k, v in plain.items())
    return {True: "yes", False: "no"}[plain] if isinstance(plain, bool) else str(plain)


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Parameter):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, frozenset | set):
        return sorted(map(_plain, value))
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    return value
