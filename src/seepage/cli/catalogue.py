"""`seepage list` and `seepage show`: what there is, without importing any of it."""

from __future__ import annotations

from typing import Any

import click

from ..core.errors import UsageError
from ..core.names import nearest
from ..core.registry import by_name, cards
from ..core.threat import OBSERVERS

KINDS = ("attacks", "defenses", "observers", "datasets", "models", "plans")


def catalogue(kind: str) -> dict[str, Any]:
    """Return the cards of a kind by name."""
    return {o.value: c for o, c in OBSERVERS.items()} if kind == "observers" else cards(kind)


@click.command("list")
@click.argument("kind", required=False, type=click.Choice(KINDS))
@click.option("--json", "as_json", is_flag=True, help="Print the cards as JSON.")
def list_(kind: str | None, as_json: bool) -> None:
    """List attacks, defenses, observers, datasets, models or plans (or all of them)."""
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
    """Show the card of one attack, defense, observer, dataset, model or plan."""
    from ..report.table import print_card
    from .terminal import Terminal

    known = {n: c for kind in KINDS for n, c in _by_name(kind).items()}
    alike = {_bare(n): n for n in known}
    found = name if name in known else alike.get(_bare(name))
    if found is None:
        raise UsageError(f"nothing is called {name!r}{nearest(name, known)}")
    print_card(known[found], Terminal())


def _by_name(kind: str) -> dict[str, Any]:
    return catalogue(kind) if kind == "observers" else by_name(kind)


def _bare(name: str) -> str:
    """Return a name as people misremember it: `DPSGD` and `dp_sgd` are `dp-sgd`."""
    return name.lower().replace("-", "").replace("_", "")
