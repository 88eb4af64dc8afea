"""A per-client privacy ledger: what each client's releases have told so far, and when to stop.

A charge is on disk before the release may leave, so a crash in between spends budget and
leaks nothing. Mechanisms are composed, epsilons never added, under a privacy filter that is
fixed at a client's first charge: `ledger_filter` says which, and why it holds although the
noise of each release may depend on those before. Under a Renyi filter, releases that are
planned in advance can be accounted for more tightly, with the best order or a loss
distribution; a ledger can't know a plan, so it stays with what holds for every choice.

    >>> from tempfile import TemporaryDirectory
    >>> from seepage.accounting.sampled_gaussian import SampledGaussian
    >>> with TemporaryDirectory() as folder:
    ...     ledger = Ledger(f"{folder}/ledger.db", target_epsilon=8.0, target_delta=1e-5)
    ...     ledger.charge("clinic-3", SampledGaussian(noise_multiplier=4.0), release_id="round-1")
    ...     round(ledger.spent("clinic-3"), 2)
    0.93
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import RefusedError, UsageError
from .ledger_file import LedgerFile
from .ledger_filter import LIMIT, PrivacyFilter, filter_for
from .ledger_terms import Asked, Id, Terms, agreed, asked_of, require_id
from .mechanism import mechanism_from_json

if TYPE_CHECKING:
    import sqlite3

    from ..core.privacy import EpsilonRecord
    from .mechanism import Mechanism


class BudgetExceeded(RefusedError):  # noqa: N818 (the name that callers know)
    """A release would take a client past its budget; nothing was stored, release nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Charge:
    """One release that a client was charged for; `charged_at` is UTC in ISO 8601."""

    release_id: Id
    charged_at: str
    mechanism: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Account:
    """What the file knows of a client."""

    rule: PrivacyFilter
    terms: Terms = (None, None, None)
    shares: int = 0


class Ledger:
    """What has been spent of each client's budget, in a file that several processes share.

    `path` is made where there is none. Every client may spend `target_epsilon` (above 0,
    finite) at `target_delta` (between 0 and 1) in all; a file keeps the target that it was
    made with. `busy_timeout`, in seconds, is how long to wait while other processes charge.
    Client and release ids are texts or whole numbers and are stored as given, beside the
    mechanisms' parameters and times; nothing of any data is. `UsageError` where the file
    can't be used. May be used from several threads, and after a fork.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        target_epsilon: float,
        target_delta: float,
        busy_timeout: float = 60.0,
    ) -> None:
        if not 0 < target_epsilon < inf:
            raise UsageError(f"target_epsilon is {target_epsilon}; use a finite number above 0")
        if not 0 < target_delta < 1:
            raise UsageError(f"target_delta is {target_delta}; use a number between 0 and 1")
        self.target_epsilon, self.target_delta = float(target_epsilon), float(target_delta)
        target = self.target_epsilon, self.target_delta
        self._file = LedgerFile(Path(path).resolve(), target, busy_timeout)

    @property
    def path(self) -> Path:
        """Return where the file lies."""
        return self._file.path

    def charge(self, client: Id, record: EpsilonRecord | Mechanism, *, release_id: Id) -> None:
        """Charge `client` for a release, for good; only then may it leave.

        `release_id` stands for the very values that are released: charged again with the same
        mechanism it costs nothing, so a retry is safe, but noise that is drawn anew needs a
        new id. Where noise is correlated over releases (`matrix-gaussian`) the whole run is
        one charge, before its first step.

        Raises `BudgetExceeded` where the client's budget would be passed, and `RefusedError`
        where the id stands for another client or mechanism, where unit, adjacency or observer
        differ from the client's earlier charges, or where the file can't be written. After
        any error: release nothing.
        """
        require_id("client", client)
        require_id("release_id", release_id)
        asked = asked_of(record)
        # Costs can take a second to compute: not while others wait for the file.
        rule = self._account(client, asked.mechanism).rule
        cost = rule.cost(asked.mechanism)
        with self._file.writing() as db:
            account = self._stored(db, client) or _Account(rule=rule)
            terms = agreed(client, account.terms, asked.terms)
            if _charged(db, client, asked, release_id):
                return
            if account.rule != rule:  # another process has charged this client first
                rule, cost = account.rule, account.rule.cost(asked.mechanism)
            share = rule.share(cost)
            if account.shares + share > LIMIT:
                raise self._exceeded(client, account, rule.epsilon(cost), release_id)
            db.execute(
                "INSERT OR REPLACE INTO clients VALUES (?, ?, ?, ?, ?)",
                (client, rule.order, *terms),
            )
            db.execute(
                "INSERT INTO charges (release_id, client, share, mechanism, charged_at) "
                "VALUES (?, ?, ?, ?, ?)",
                (release_id, client, share, json.dumps(asked.mechanism.to_json()), _now()),
            )

    def spent(self, client: Id) -> float:
        """Return epsilon at the target's delta of all that `client` was charged for; 0 for none.

        It never falls, and is exact for Gaussian charges. A Renyi filter's is loose (its first
        release brings the whole surcharge of the conversion) until near the target. That the
        total stays within the target holds whatever was chosen on the way; a smaller figure
        read here holds if the moment to stop was not chosen by looking at what was released.
        """
        with self._file.reading() as db:
            account = self._stored(db, client)
        return account.rule.epsilon_of_shares(account.shares) if account else 0.0

    def remaining(self, client: Id, record: EpsilonRecord | Mechanism) -> int:
        """Return how many more charges of `record` fit into the client's budget."""
        asked = asked_of(record)
        account = self._account(client, asked.mechanism)
        agreed(client, account.terms, asked.terms)
        share = account.rule.share(account.rule.cost(asked.mechanism))
        return max(LIMIT - account.shares, 0) // max(share, 1)

    def charges(self, client: Id) -> tuple[Charge, ...]:
        """Return what `client` was charged for, oldest first."""
        with self._file.reading() as db:
            rows = db.execute(
                "SELECT release_id, charged_at, mechanism FROM charges WHERE client = ? "
                "ORDER BY number",
                (client,),
            ).fetchall()
        return tuple(
            Charge(release_id=release, charged_at=at, mechanism=json.loads(content))
            for release, at, content in rows
        )

    def clients(self) -> tuple[Id, ...]:
        """Return the clients that were ever charged, numbers before texts, in order."""
        with self._file.reading() as db:
            rows = db.execute("SELECT client FROM clients ORDER BY client").fetchall()
        return tuple(client for (client,) in rows)

    def _account(self, client: Id, first: Mechanism) -> _Account:
        """Return what is stored of `client`, else an empty account that `first` would begin."""
        with self._file.reading() as db:
            stored = self._stored(db, client)
        target = self.target_epsilon, self.target_delta
        return stored or _Account(rule=filter_for(first, *target))

    def _stored(self, db: sqlite3.Connection, client: Id) -> _Account | None:
        """Return what is stored of `client`; None where it was never charged."""
        row = db.execute(
            "SELECT renyi_order, unit, adjacency, observer, (SELECT coalesce(sum(share), 0) "
            "FROM charges WHERE charges.client = clients.client) FROM clients WHERE client = ?",
            (client,),
        ).fetchone()
        if row is None:
            return None
        order, unit, adjacency, observer, shares = row
        rule = PrivacyFilter(
            order=order, target_epsilon=self.target_epsilon, target_delta=self.target_delta
        )
        return _Account(rule=rule, terms=(unit, adjacency, observer), shares=shares)

    def _exceeded(
        self, client: Id, account: _Account, asked: float, release_id: Id
    ) -> BudgetExceeded:
        spent = account.rule.epsilon_of_shares(account.shares)
        return BudgetExceeded(
            f"client {client!r} has spent epsilon {spent:.4g} of {self.target_epsilon:g} at delta "
            f"{self.target_delta:g}, and release {release_id!r}, epsilon {asked:.4g} alone, goes "
            "past that; release nothing: add noise to it, or stop asking this client"
        )


def _charged(db: sqlite3.Connection, client: Id, asked: Asked, release_id: Id) -> bool:
    """Return whether this very charge is stored; `RefusedError` where its id stands for another."""
    found = db.execute(
        "SELECT client, mechanism FROM charges WHERE release_id = ?", (release_id,)
    ).fetchone()
    if found is None:
        return False
    if found[0] == client and mechanism_from_json(json.loads(found[1])) == asked.mechanism:
        return True
    other = "another mechanism" if found[0] == client else f"client {found[0]!r}"
    raise RefusedError(
        f"release {release_id!r} was charged for {other} before; release nothing, or give this "
        "release an id of its own"
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
