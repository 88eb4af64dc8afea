"""What a ledger is asked to charge, and under which terms it is said to hold.

A sum of costs is a statement about one unit, under one adjacency, against one observer: epsilon
for a record and epsilon for a client, or against who sees single updates and who does not,
have no common total.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ..core.errors import RefusedError, UsageError
from ..core.privacy import EpsilonRecord
from .composed import compose, parts_of
from .mechanism import Mechanism
from .record import mechanism_of

Id: TypeAlias = str | int
Terms: TypeAlias = tuple[str | None, str | None, str | None]
"""Unit, adjacency and observer; None where a mechanism alone does not say."""

_NAMED = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A mechanism that is to be charged, and its terms."""

    mechanism: Mechanism
    terms: Terms


def asked_of(record: EpsilonRecord | Mechanism) -> Asked:
    """Return what is behind a record or a mechanism.

    `UsageError` where a record does not say what it is composed of, `RefusedError` where a
    mechanism composes releases of several adjacencies.
    """
    if isinstance(record, EpsilonRecord):
        terms = record.unit, record.adjacency, record.observer
        return Asked(mechanism=mechanism_of(record), terms=terms)
    if not isinstance(record, Mechanism):
        raise UsageError(f"{record!r} can't be charged; give an epsilon record or a mechanism")
    mechanism = compose([record])
    said = {str(a) for part in parts_of(mechanism) if (a := part.to_json().get("adjacency"))}
    if len(said) > 1:
        raise RefusedError(
            f"a mechanism composes releases under {' and '.join(sorted(said))}, which have no "
            "common epsilon; charge each adjacency to a ledger of its own"
        )
    return Asked(mechanism=mechanism, terms=(None, said.pop() if said else None, None))


def agreed(client: Id, before: Terms, asked: Terms) -> Terms:
    """Return the terms of all charges so far; `RefusedError` where they differ."""
    for name, one, other in zip(("unit", "adjacency", "observer"), before, asked, strict=True):
        if one is not None and other is not None and one != other:
            raise RefusedError(
                f"client {client!r} was charged for {name} {one!r} before, and this release is "
                f"for {name} {other!r}: they have no common epsilon; use a ledger for each"
            )
    return before[0] or asked[0], before[1] or asked[1], before[2] or asked[2]


def require_clients(clients: Sequence[Id]) -> None:
    """Raise `UsageError` where there are no clients, one comes twice, or one is no id."""
    for client in clients:
        require_id("client", client)
    if not clients:
        raise UsageError("no client is charged; name at least one")
    if twice := [client for client, count in Counter(clients).items() if count > 1]:
        raise UsageError(f"{named(twice)} would be charged twice for one release; name each once")


def require_id(name: str, value: Id) -> None:
    """Raise `UsageError` where an id is no printable text and no whole number of 64 bits."""
    if isinstance(value, str) and value and value.isprintable():
        return
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
        return
    raise UsageError(f"{name} is {value!r}; use a printable text or a whole number")


def named(clients: Sequence[Id]) -> str:
    """Return clients in words, the first few of many by name.

    >>> named(["a"]), named(["a", 7]), named(range(9))
    ("client 'a'", "clients 'a', 7", 'clients 0, 1, 2, 3, 4 and 4 more')
    """
    some = ", ".join(repr(client) for client in clients[:_NAMED])
    more = f" and {len(clients) - _NAMED} more" if len(clients) > _NAMED else ""
    return f"client{'s' if len(clients) > 1 else ''} {some}{more}"
