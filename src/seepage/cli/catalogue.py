"""`seepage list` and `seepage show`: what there is, without importing any of it."""

from __future__ import annotations

from typing import Any

import click

from ..core.errors import UsageError
from ..core.names import nearest
from ..core.registry import by_name, cards
from ..core.threat import OBSERVERS
from ..crypto.cards import CARDS as SUMS
from ..crypto.vote_cards import VOTES

KINDS = ("attacks", "defenses", "protocols", "observers", "datasets", "models", "plans")

_OURS: dict[str, dict[str, Any]] = {
    "observers": {observer.value: card for observer, card in OBSERVERS.items()},
    "protocols": {card.name: card for card in (*SUMS, *VOTES)},
}
"""What other packages add nothing to."""


def catalogue(kind: str) -> dict[str, Any]:
    """Return the cards of a kind by name."""
    return _OURS[kind] if kind in _OURS else cards(kind)


@click.command("list")
@click.argument("kind", required=False, type=click.Choice(KINDS))
@click.option("--json", "as_json", is_flag=True, help="Print the cards as JSON.")
def list_(kind: str | None, as_json: bool) -> None:
    """List attacks, defenses, protocols, observers, datasets, models or plans (or all)."""
    from ..report.table import cards_json

    kinds = (kind,) if kind else KINDS
    if as_json:
        from .audit import dump

        content = {k: cards_json(k, catalogue(k)) for k in kinds}
        dump(content[kind] if kind else content)
        return
    from ..report.table import print_cards
    from .terminal import Terminal

    for k in kinds:
        print_cards(k, catalogue(k), Terminal())


@click.command()
@click.argument("name")
def show(name: str) -> None:
    """Show the card of one of them, or one table of a kind: `show protocols` compares them."""
    from ..report.table import print_card, print_cards, print_protocols
    from .terminal import Terminal

    if name == "protocols":
        print_protocols((*SUMS, *VOTES), Terminal())
    elif name in KINDS:
        print_cards(name, catalogue(name), Terminal())
    else:
        found = _found(name)
        for kind, card in found.items():
            print_card(card, Terminal(), kind[:-1] if len(found) > 1 else "")
            if len(found) > 1:
                Terminal().print()


def _found(name: str) -> dict[str, Any]:
    """Return what goes by a name, by kind: a dataset may be called as a plan is."""
    known = {kind: _by_name(kind) for kind in KINDS}
    found = {kind: named[name] for kind, named in known.items() if name in named}
    for kind, named in () if found else known.items():
        alike = {_bare(n): n for n in named}
        if _bare(name) in alike:
            found[kind] = named[alike[_bare(name)]]
    if not found:
        names = {n for named in known.values() for n in named}
        raise UsageError(f"nothing is called {name!r}{nearest(name, [*names, *KINDS])}")
    if (defense := found.get("defenses")) and "protocols" in found:
        told = defense.protocol == found["protocols"].name
        found = {k: c for k, c in found.items() if not (told and k == "protocols")}
    return found


def _by_name(kind: str) -> dict[str, Any]:
    return _OURS[kind] if kind in _OURS else by_name(kind)


def _bare(name: str) -> str:
    """Return a name as people misremember it: `DPSGD` and `dp_sgd` are `dp-sgd`."""
    return name.lower().replace("-", "").replace("_", "")
