"""What a ledger's file says of each client, for those who only look."""

from __future__ import annotations

from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

from .ledger_accounts import mechanisms_of, planned
from .ledger_file import LedgerFile
from .ledger_filter import WHOLE, PrivacyFilter
from .ledger_terms import Id

_PATIENCE = 60.0
# Beside max(), SQLite takes the other columns from the row that has it: the newest charge.
_CLIENTS = """SELECT client, renyi_order, unit, adjacency, observer,
sum(share), count(*), max(number), release_id, charged_at
FROM clients JOIN charges USING (client) GROUP BY client ORDER BY client"""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientStatement:
    """What one client was charged for.

    Fields
    ------
    client : as it was charged
    spent : epsilon at the ledger's delta, as `Ledger.spent`
    spent_if_planned : as `Ledger.spent_if_planned`; None where it was not asked for
    share : of the budget that is used, 0 to 1: costs add up to it, as epsilons do not
    charges : how many
    last_release, last_charged_at : the newest charge; the time is UTC in ISO 8601
    unit, adjacency, observer : what all charges hold for; None where none said so
    renyi_order : of the client's filter; None where it is the Gaussian one
    """

    client: Id
    spent: float
    spent_if_planned: float | None
    share: float
    charges: int
    last_release: Id
    last_charged_at: str
    unit: str | None
    adjacency: str | None
    observer: str | None
    renyi_order: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class LedgerStatement:
    """A whole ledger at one moment: each client may spend `target_epsilon` at `target_delta`."""

    path: Path
    target_epsilon: float
    target_delta: float
    clients: tuple[ClientStatement, ...]


def read_ledger(path: str | PathLike[str], *, if_planned: bool = False) -> LedgerStatement:
    """Return what the ledger at `path` says, all of one moment; the file is not written to.

    `if_planned` adds what composing each client's charges gives, which may take seconds for
    each. Raises `UsageError` where there is no ledger, or it can't be read.
    """
    file = LedgerFile(Path(path).resolve(), None, _PATIENCE)
    epsilon, delta = file.target
    with file.reading() as db:
        found = [_statement(row, file.target) for row in db.execute(_CLIENTS)]
        charged = {one.client: mechanisms_of(db, one.client) for one in found if if_planned}
    # Composing takes long: not while others wait to charge.
    clients = tuple(
        replace(one, spent_if_planned=min(one.spent, planned(charged[one.client], delta)))
        if if_planned
        else one
        for one in found
    )
    return LedgerStatement(
        path=file.path, target_epsilon=epsilon, target_delta=delta, clients=clients
    )


def _statement(row: tuple[Any, ...], target: tuple[float, float]) -> ClientStatement:
    client, order, unit, adjacency, observer, shares, charges, _, release, at = row
    rule = PrivacyFilter(order=order, target_epsilon=target[0], target_delta=target[1])
    return ClientStatement(
        client=client,
        spent=rule.epsilon_of_shares(shares),
        spent_if_planned=None,
        share=min(shares / WHOLE, 1.0),
        charges=charges,
        last_release=release,
        last_charged_at=at,
        unit=unit,
        adjacency=adjacency,
        observer=observer,
        renyi_order=order,
    )
