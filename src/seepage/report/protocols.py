"""Protocols for secure sums in words, one by one and side by side."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..crypto.cards import MALICIOUS, SEMI_HONEST, ProtocolCard

MEASURED = (
    "Milliseconds of work per million parameters and bytes that a client sends to those of "
    "float32, with 8 clients; – where there is nothing, or it was not measured."
)
"""What the figures of a `ProtocolRow` are."""

_BEHAVIOR = {
    SEMI_HONEST: "semi-honest: parties keep to the protocol, and try to learn from what they see",
    MALICIOUS: "malicious, with abort: parties may send anything; where it does not fit, "
    "no sum is released",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ProtocolRow:
    """A protocol's line of the comparison, in words; `in_force` marks that of a run."""

    name: str
    security: str
    trust: str
    tolerates: str
    leaks: str
    rounds: str
    client: str
    server: str
    dealer: str
    size: str
    needs: str
    in_force: bool = False


def protocol_rows(cards: Iterable[ProtocolCard], in_force: str = "") -> list[ProtocolRow]:
    """Return the comparison of protocols, that which is called `in_force` marked."""
    return [
        ProtocolRow(
            name=card.name,
            security=card.security,
            trust=card.trust,
            tolerates=card.tolerates,
            leaks=card.leaks,
            rounds=str(card.rounds),
            client=_milliseconds(card.client_ms),
            server=_milliseconds(card.server_ms),
            dealer=_milliseconds(card.offline_ms),
            size=f"{card.expansion:g}x",
            needs=needs(card),
            in_force=card.name == in_force,
        )
        for card in cards
    ]


def protocol_facts(card: ProtocolCard) -> list[tuple[str, str]]:
    """Return (what, how) of a protocol, for who reads of it alone."""
    return [
        ("who computes", card.parties),
        ("security", behavior(card)),
        ("trust", card.trust),
        ("tolerates", card.tolerates),
        ("leaks", card.leaks),
        ("rounds", str(card.rounds)),
        ("bytes", f"{card.expansion:g}x those of float32"),
        *([("milliseconds", spent)] if (spent := _spent(card)) else []),
        ("needs", needs(card)),
    ]


def behavior(card: ProtocolCard) -> str:
    """Return how parties may behave for the promise to hold."""
    return _BEHAVIOR.get(card.security, card.security)


def needs(card: ProtocolCard) -> str:
    """Return what has to be installed beside seepage."""
    extra = f"extra {card.extra}" if card.extra else ""
    own = [f"environment {name}" for name in card.environments]
    return " and ".join(filter(None, (extra, *own))) or "nothing more"


def _spent(card: ProtocolCard) -> str:
    """Return what was measured of a protocol, in one line; empty where nothing was."""
    work = {"a client": card.client_ms, "a server": card.server_ms, "the dealer": card.offline_ms}
    told = [f"{who} {_milliseconds(value)}" for who, value in work.items() if value is not None]
    return f"{', '.join(told)}; per million parameters, 8 clients" if told else ""


def _milliseconds(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.2g}" if value < 10 else f"{value:,.0f}"
