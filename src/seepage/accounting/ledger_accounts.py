"""What a ledger's file knows of clients: their rules, terms, spent shares and charges."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..core.errors import RefusedError
from .composed import compose
from .ledger_filter import PrivacyFilter
from .ledger_terms import Asked, Id, Terms, named
from .mechanism import Mechanism, mechanism_from_json
from .record import epsilon_and_accountant

if TYPE_CHECKING:
    import sqlite3


@dataclass(frozen=True, kw_only=True, slots=True)
class Charge:
    """One release that a client was charged for; `charged_at` is UTC in ISO 8601."""

    release_id: Id
    charged_at: str
    mechanism: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """A client's rule, the terms that its charges share, and what they sum up to."""

    rule: PrivacyFilter
    terms: Terms = (None, None, None)
    shares: int = 0

    @property
    def epsilon(self) -> float:
        """Return epsilon at the target's delta of all charges; 0 for none."""
        return self.rule.epsilon_of_shares(self.shares)


def account_of(db: sqlite3.Connection, client: Id, target: tuple[float, float]) -> Account | None:
    """Return what is stored of `client`; None where it was never charged."""
    row = db.execute(
        "SELECT renyi_order, unit, adjacency, observer, (SELECT coalesce(sum(share), 0) "
        "FROM charges WHERE charges.client = clients.client) FROM clients WHERE client = ?",
        (client,),
    ).fetchone()
    if row is None:
        return None
    order, unit, adjacency, observer, shares = row
    rule = PrivacyFilter(order=order, target_epsilon=target[0], target_delta=target[1])
    return Account(rule=rule, terms=(unit, adjacency, observer), shares=shares)


def clients_of(db: sqlite3.Connection) -> tuple[Id, ...]:
    """Return the clients that were ever charged, numbers before texts, in order."""
    rows = db.execute("SELECT client FROM clients ORDER BY client").fetchall()
    return tuple(client for (client,) in rows)


def charges_of(db: sqlite3.Connection, client: Id) -> tuple[Charge, ...]:
    """Return what `client` was charged for, oldest first."""
    rows = db.execute(
        "SELECT release_id, charged_at, mechanism FROM charges WHERE client = ? ORDER BY number",
        (client,),
    ).fetchall()
    return tuple(
        Charge(release_id=release, charged_at=at, mechanism=json.loads(content))
        for release, at, content in rows
    )


def mechanisms_of(db: sqlite3.Connection, client: Id) -> Counter[str]:
    """Return how often `client` was charged for each mechanism, by the mechanism's JSON."""
    rows = db.execute(
        "SELECT mechanism, count(*) FROM charges WHERE client = ? GROUP BY mechanism", (client,)
    ).fetchall()
    return Counter(dict(rows))


def planned(mechanisms: Counter[str], delta: float) -> float:
    """Return epsilon at `delta` of mechanisms (at least one), had they been fixed in advance."""
    whole = compose(mechanism_from_json(json.loads(one)) for one in mechanisms.elements())
    return epsilon_and_accountant(whole, delta)[0]


def is_charged(db: sqlite3.Connection, clients: Sequence[Id], asked: Asked, release_id: Id) -> bool:
    """Return whether this very charge is stored; `RefusedError` where its id stands for another."""
    rows = db.execute(
        "SELECT client, mechanism FROM charges WHERE release_id = ? ORDER BY number", (release_id,)
    ).fetchall()
    if not rows:
        return False
    before = [client for client, _ in rows]
    if set(before) != set(clients):
        other = named(before)
    elif mechanism_from_json(json.loads(rows[0][1])) != asked.mechanism:
        other = "another mechanism"
    else:
        return True
    raise RefusedError(
        f"release {release_id!r} was charged for {other} before; release nothing, or give this "
        "release an id of its own"
    )


def add_charge(
    db: sqlite3.Connection, client: Id, account: Account, charge: tuple[Id, int, Mechanism]
) -> None:
    """Store a charge (release id, share, mechanism) of `client`, and its account."""
    release_id, share, mechanism = charge
    db.execute(
        "INSERT OR REPLACE INTO clients VALUES (?, ?, ?, ?, ?)",
        (client, account.rule.order, *account.terms),
    )
    db.execute(
        "INSERT INTO charges (release_id, client, share, mechanism, charged_at) "
        "VALUES (?, ?, ?, ?, ?)",
        (release_id, client, share, json.dumps(mechanism.to_json()), _now()),
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
