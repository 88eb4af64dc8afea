"""What a run's secure sum promises and spent, in words, beside all other protocols."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..core.registry import by_name
from ..core.results import Result
from ..crypto.cards import CARDS
from ..crypto.protocol_card import ProtocolCard
from .protocols import ProtocolRow, behavior, protocol_rows
from .words import figure, sentence, size

if TYPE_CHECKING:
    from ..core.cards import DefenseCard


@dataclass(frozen=True, kw_only=True, slots=True)
class SumInForce:
    """The protocol in force, (what, how) of it, and the comparison with it marked.

    `told` is the gist of it in one line.
    """

    name: str
    summary: str
    told: str
    facts: list[tuple[str, str]]
    rows: list[ProtocolRow]


def sum_in_force(result: Result) -> SumInForce | None:
    """Return what a reader should know of the run's secure sum; None where there is none."""
    defenses = by_name("defenses")
    protocols = {card.name: card for card in CARDS}
    for component in result.plan.get("defenses") or ():
        defense = defenses.get(component["name"])
        if defense and (card := protocols.get(defense.protocol)):
            spent = _spent(result)
            return SumInForce(
                name=card.name,
                summary=card.summary,
                told=_told(card, spent),
                facts=[*_promises(card), _settings(defense, component), *spent],
                rows=protocol_rows(CARDS, card.name),
            )
    return None


def _told(card: ProtocolCard, spent: list[tuple[str, str]]) -> str:
    facts = (
        ("must be true", card.trust),
        ("may collude", card.tolerates),
        ("leaks beside the sum", card.leaks),
        *spent,
    )
    told = "; ".join(f"{what.lower()}: {how}" for what, how in facts)
    return f"{card.name}, {card.security}; {told}"


def _promises(card: ProtocolCard) -> list[tuple[str, str]]:
    facts = (
        ("Who computes", card.parties),
        ("Must be true", card.trust),
        ("May collude", card.tolerates),
        ("Security", behavior(card)),
        ("Not hidden", f"the sum of each round, and all that it tells; {card.leaks}"),
    )
    return [(what, f"{sentence(how)}.") for what, how in facts]


def _settings(defense: DefenseCard, component: Mapping[str, Any]) -> tuple[str, str]:
    """Return all settings in force; what the protocol works out by itself is left out."""
    given = {p.name: p.default for p in defense.parameters} | dict(component.get("settings") or {})
    known = [f"{name} {value}" for name, value in given.items() if value is not None]
    return "Settings", ", ".join(known)


def _spent(result: Result) -> list[tuple[str, str]]:
    """Return what clients sent, where the run says it."""
    cost = result.cost
    sent, up, down = (cost.get(n) for n in ("bytes_up_per_client", "bytes_up", "bytes_down"))
    if not (sent and up and down):
        return []
    times = figure(up / down)
    told = f"{size(sent)} on average over all rounds, {times}x the models that it received"
    return [("Sent by a client", f"{told} (keys and the like apart)")]
