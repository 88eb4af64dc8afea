"""Finds cards by name: our own catalogues, and those of other installed packages.

A third party's package adds cards by an entry point of the group `seepage.attacks`,
`seepage.defenses` and so on, whose value is a card or a tuple of cards. One that fails
to load is a warning: a broken neighbor must not stop an audit.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any

from .cards import AttackCard, Card, DefenseCard
from .errors import SeepageWarning, UsageError
from .names import nearest

KINDS: dict[str, type[Card]] = {
    "attacks": AttackCard,
    "defenses": DefenseCard,
    "datasets": Card,
    "models": Card,
    "plans": Card,
    "formats": Card,
}

_CATALOGUES = {
    "attacks": "seepage.attacks.cards",
    "defenses": "seepage.defenses.cards",
    "datasets": "seepage.data.cards",
    "models": "seepage.models.cards",
    "plans": "seepage.auditing.plans",
    "formats": "seepage.report.cards",
}


@cache
def cards(kind: str) -> dict[str, Any]:
    """Return every card of a kind (a key of `KINDS`) by name, ours first."""
    from importlib.metadata import entry_points  # slow: not for `--help`

    found: dict[str, Card] = {card.name: card for card in import_module(_CATALOGUES[kind]).CARDS}
    for entry in entry_points(group=f"seepage.{kind}"):
        try:
            loaded = entry.load()
            for card in loaded if isinstance(loaded, tuple | list) else (loaded,):
                if not isinstance(card, KINDS[kind]):
                    raise TypeError(f"{card!r} is no {KINDS[kind].__name__}")
                if taken := {card.name, *card.aliases} & _by_name(found).keys():
                    raise ValueError(f"the name {min(taken)!r} is taken")
                found[card.name] = card
        except Exception as error:  # whatever a stranger's module raises
            warnings.warn(
                f"entry point {entry.name!r} of seepage.{kind} ({entry.value}) does not load: "
                f"{type(error).__name__}: {error}",
                SeepageWarning,
                stacklevel=2,
            )
    return found


def by_name(kind: str) -> dict[str, Any]:
    """Return every card of a kind by each name that it goes by, aliases included."""
    return _by_name(cards(kind))


def canonical(kind: str, name: str) -> str:
    """Return the name of the card that goes by `name`; a name that nobody has stays as it is."""
    found = by_name(kind).get(name)
    return found.name if found else name


def canonical_finding(finding: str) -> str:
    """Return a finding's id, `task/observer/attack/moment/metric`, with its attack's own name."""
    parts = finding.rsplit("/", 3)
    if len(parts) == 4:
        parts[1] = canonical("attacks", parts[1])
    return "/".join(parts)


def card(kind: str, name: str) -> Any:
    """Return one card by name or alias; an unknown one raises `UsageError` with the nearest."""
    known = by_name(kind)
    if name not in known:
        raise UsageError(f"no {kind[:-1]} is called {name!r}{nearest(name, known)}")
    return known[name]


def _by_name(found: Mapping[str, Card]) -> dict[str, Any]:
    return {name: card for card in found.values() for name in (card.name, *card.aliases)}
