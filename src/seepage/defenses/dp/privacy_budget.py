"""Clients that sit out once their privacy budget is spent.

Before a client trains in a round, its ledger is charged for what the defenses in force say
that such a round releases; only then does it take part. So a crash in between spends budget
and leaks nothing. Noise is drawn anew in every round, and in every retry of one, so each time
that a client is let in is a release of its own, under an id that nobody used before.

Who sits out follows from the ledger and from public settings alone, never from records.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from secrets import token_hex
from typing import TYPE_CHECKING

from ...accounting.composed import compose
from ...accounting.ledger import BudgetExceeded, Ledger
from ...accounting.record import mechanism_of
from ...core.cards import DefenseCard
from ...core.defense import Defense
from ...core.errors import RefusedError
from ...core.threat import Observer

if TYPE_CHECKING:
    from ...core.defense import Participation
    from ...core.privacy import EpsilonRecord, Exposure


@dataclass(frozen=True, kw_only=True)
class PrivacyBudget(Defense):
    """A ledger that is charged for each client and round before the client trains.

    It charges what the other defenses in force state; it protects nothing by itself. In a
    deployment, call `admit` before a client trains, and do not train where it says no.

    Fields
    ------
    ledger : holds every client's budget, under the client's name
    observer : against whom the budget holds; exactly one of the defenses in force must state a
        finite epsilon against this very observer
    """

    ledger: Ledger
    observer: str = Observer.HONEST_SERVER.value

    @property
    def card(self) -> DefenseCard:
        """The public card with this instance's settings."""
        return DefenseCard(
            name="privacy-budget",
            summary="Each client sits out once its privacy budget is spent.",
            implementation=f"{__name__}:PrivacyBudget",
            mechanism="a client's ledger is charged before it trains, and it sends nothing past "
            "its budget",
            guarantee="none",
            adaptive_attacks=(),
            settings={
                "target_epsilon": self.ledger.target_epsilon,
                "target_delta": self.ledger.target_delta,
                "observer": self.observer,
            },
        )

    def admit(self, participation: Participation) -> bool:
        """Charge the client for the round; return whether its budget allowed that.

        Raises `RefusedError` where no round can be charged on its own, or the ledger can't be
        written: nothing may be released then.
        """
        record = self._record(participation)
        release = f"round {participation.round} {token_hex(8)}"
        try:
            self.ledger.charge(participation.client, record, release_id=release)
        except BudgetExceeded:
            return False
        return True

    def _record(self, participation: Participation) -> EpsilonRecord:
        """Return what the defenses state of one round of this client."""
        exposure = replace(participation.exposure, delta=self.ledger.target_delta)
        job = self._stated(participation, exposure)
        one = self._stated(participation, replace(exposure, rounds=1))
        if compose([mechanism_of(one)] * exposure.rounds) != mechanism_of(job):
            raise RefusedError(
                f"privacy-budget: rounds of {job.mechanism!r} are not alike or not independent, "
                "so none can be charged on its own; charge the record of the whole job to the "
                "ledger before it begins"
            )
        return one

    def _stated(self, participation: Participation, exposure: Exposure) -> EpsilonRecord:
        """Return the only record against the observer, which must say something."""
        every = [r for d in participation.defenses for r in d.privacy(exposure)]
        found = [r for r in every if r.observer == self.observer]
        if len(found) == 1 and found[0].total_epsilon != float("inf"):
            return found[0]
        if len(found) == 1:
            problem = f"hide nothing from {self.observer}"
        elif found:
            problem = f"state {len(found)} epsilons against {self.observer}; keep one of them"
        else:
            others = ", ".join(sorted({r.observer for r in every})) or "nobody"
            problem = f"state no epsilon against {self.observer} (against: {others})"
        raise RefusedError(
            f"privacy-budget: the defenses in force {problem}, so there is nothing to charge"
        )
