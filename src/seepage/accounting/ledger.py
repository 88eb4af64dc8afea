"""A per-client privacy ledger: what each client's releases have told so far, and when to stop.

A charge is on disk before the release may leave, so a crash in between spends budget and
leaks nothing. Mechanisms are composed, epsilons never added, under a privacy filter that is
fixed at a client's first charge: `ledger_filter` says which, and why it holds although the
noise of each release may depend on those before. Under a Renyi filter, releases that are
planned in advance can be accounted for more tightly, with the best order or a loss
distribution; a ledger can't know a plan, so its budget and `spent` stay with what holds for
every choice, and `spent_if_planned` says what a plan would make of the same charges.

    >>> from tempfile import TemporaryDirectory
    >>> from seepage.accounting.sampled_gaussian import SampledGaussian
    >>> with TemporaryDirectory() as folder:
    ...     ledger = Ledger(f"{folder}/ledger.db", target_epsilon=8.0, target_delta=1e-5)
    ...     ledger.charge("clinic-3", SampledGaussian(noise_multiplier=4.0), release_id="round-1")
    ...     round(ledger.spent("clinic-3"), 2)
    0.93
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import inf
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import RefusedError, UsageError
from .ledger_accounts import (
    Account,
    Charge,
    account_of,
    add_charge,
    charges_of,
    clients_of,
    is_charged,
    mechanisms_of,
    planned,
)
from .ledger_file import LedgerFile
from .ledger_filter import LIMIT, filter_for
from .ledger_terms import Id, agreed, asked_of, named, require_clients, require_id

if TYPE_CHECKING:
    from ..core.privacy import EpsilonRecord
    from .mechanism import Mechanism


class BudgetExceeded(RefusedError):  # noqa: N818 (the name that callers know)
    """A release would take `clients` past their budget; nothing was stored, release nothing."""

    def __init__(self, message: str, *, clients: tuple[Id, ...] = ()) -> None:
        self.clients = clients
        super().__init__(message)


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
        self._target = self.target_epsilon, self.target_delta
        self._file = LedgerFile(Path(path).resolve(), self._target, busy_timeout)

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
        self.charge_all((client,), record, release_id=release_id)

    def charge_all(
        self, clients: Iterable[Id], record: EpsilonRecord | Mechanism, *, release_id: Id
    ) -> None:
        """Charge all of `clients` for one release in which each of them has a part, or none.

        One commit, so a kill leaves all of them charged or nobody. `release_id` stands for the
        release and those who have a part in it: charged again for the same clients it costs
        nothing, for others it is refused. Errors are those of `charge`; `BudgetExceeded` has in
        `clients` all whose budget would be passed, so that the rest may go on without them.
        """
        clients = tuple(clients)
        require_clients(clients)
        require_id("release_id", release_id)
        asked = asked_of(record)
        new = Account(rule=filter_for(asked.mechanism, *self._target))
        # Costs can take a second to compute: not while others wait for the file.
        with self._file.reading() as db:
            rules = {(account_of(db, c, self._target) or new).rule for c in clients}
        for rule in rules:
            rule.cost(asked.mechanism)
        with self._file.writing() as db:
            # Another process may have charged a client first, and so fixed another rule.
            found = {c: account_of(db, c, self._target) or new for c in clients}
            terms = {c: agreed(c, account.terms, asked.terms) for c, account in found.items()}
            if is_charged(db, clients, asked, release_id):
                return
            costs = {c: account.rule.cost(asked.mechanism) for c, account in found.items()}
            shares = {c: account.rule.share(costs[c]) for c, account in found.items()}
            if past := [c for c in clients if found[c].shares + shares[c] > LIMIT]:
                raise self._exceeded(past, found[past[0]], costs[past[0]], release_id)
            for c, account in found.items():
                charge = release_id, shares[c], asked.mechanism
                add_charge(db, c, replace(account, terms=terms[c]), charge)

    def spent(self, client: Id) -> float:
        """Return epsilon at the target's delta of all that `client` was charged for; 0 for none.

        It never falls, and is exact for Gaussian charges (Smith & Thakurta 2022). A Renyi filter's
        (Feldman & Zrnic 2021) is loose until near the target, because its first release brings
        the whole surcharge of the conversion: a better order, chosen afterwards, is no filter.
        That the total stays within the target holds whatever was chosen on the way; a smaller
        figure read here holds if the moment to stop was not chosen by looking at what was
        released.
        """
        with self._file.reading() as db:
            account = account_of(db, client, self._target)
        return account.epsilon if account else 0.0

    def spent_if_planned(self, client: Id) -> float:
        """Return epsilon of what `client` was charged for, had all of it been planned; 0 for none.

        The mechanisms composed by the tightest accountant. It holds where which mechanisms, with
        what noise, and how many of them, was fixed before the first release; what each computes
        may depend on earlier ones (Zhu, Dong & Wang 2022, arXiv 2106.08567, theorem 10). Where
        noise or the moment to stop was chosen by looking, only the ledger's target and `spent`
        speak of the client. Never above `spent`; may take seconds.
        """
        with self._file.reading() as db:
            account = account_of(db, client, self._target)
            charged = mechanisms_of(db, client)
        return min(account.epsilon, planned(charged, self.target_delta)) if account else 0.0

    def remaining(self, client: Id, record: EpsilonRecord | Mechanism) -> int:
        """Return how many more charges of `record` fit into the client's budget."""
        asked = asked_of(record)
        with self._file.reading() as db:
            account = account_of(db, client, self._target)
        account = account or Account(rule=filter_for(asked.mechanism, *self._target))
        agreed(client, account.terms, asked.terms)
        share = account.rule.share(account.rule.cost(asked.mechanism))
        return max(LIMIT - account.shares, 0) // max(share, 1)

    def charges(self, client: Id) -> tuple[Charge, ...]:
        """Return what `client` was charged for, oldest first."""
        with self._file.reading() as db:
            return charges_of(db, client)

    def clients(self) -> tuple[Id, ...]:
        """Return the clients that were ever charged, numbers before texts, in order."""
        with self._file.reading() as db:
            return clients_of(db)

    def _exceeded(
        self, past: Sequence[Id], first: Account, cost: float, release_id: Id
    ) -> BudgetExceeded:
        said = (
            f"client {past[0]!r} has spent epsilon {first.epsilon:.4g} of {self.target_epsilon:g} "
            f"at delta {self.target_delta:g}, and release {release_id!r}, epsilon "
            f"{first.rule.epsilon(cost):.4g} alone, goes past that"
        )
        if len(past) == 1:
            fix = "release nothing: add noise to it, or stop asking this client"
        else:
            fix = f"so it is with {named(past)}; release nothing: add noise, or leave them out"
        return BudgetExceeded(f"{said}; {fix}", clients=tuple(past))
