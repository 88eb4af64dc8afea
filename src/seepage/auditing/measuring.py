"""Measures one cell: the attack on the job, on its undefended twin and on a planted control."""

from __future__ import annotations

from typing import Any

from ..core.attack import ActiveAttack, Attack
from ..core.errors import NotApplicableError, SeepageError
from ..core.seeds import torch_rng
from .attempts import Attempt, Attempts
from .cells import ASKS_OF_RECORDS, CLIENTS, Cell, Job, Measured
from .clients import client_questions
from .columns import column_views
from .federations import Federations
from .pictures import picture_arrays
from .sources import linkage_views
from .store import Store
from .verdict import leaked
from .views import membership_views

CONTROL_UNITS = 32
"""Draws of a dear attack's control: it has only to leak, not to be bounded."""


class Laboratory:
    """All that is needed to measure the cells of one job."""

    def __init__(
        self,
        *,
        job: Job,
        federations: Federations,
        seed: int,
        units: int,
        tolerance: float,
        store: Store,
        include_records: bool,
    ) -> None:
        self.attempts = Attempts(job=job, federations=federations, seed=seed)
        self.job, self.federations, self.seed = job, federations, seed
        self.units, self.tolerance = units, tolerance
        self.store, self.include_records = store, include_records

    def measure(self, cell: Cell) -> Measured:
        """Run a cell; raises `NotApplicableError` where its attack can't work on the job."""
        attack: Attack = cell.attack.build(cell.settings)
        run = self.attempts.run
        defended = run(cell, attack, "defended", self.units)
        few = self.units if cell.attack.cost == "cheap" else CONTROL_UNITS
        twin = run(cell, attack, "undefended", few) if self.job.defenses else defended
        planted = Attempt()
        details: dict[str, Any] = {"planned_units": self.units}
        if not any(leaked(e, self.tolerance) for e in twin.evidence):
            known = cell.attack.claims in ASKS_OF_RECORDS
            variant = "planted-overfit" if known else "planted-batch"
            try:
                planted = run(cell, attack, variant, CONTROL_UNITS)
            except SeepageError as error:  # the finding stands, without this control
                details["planted_control"] = f"could not be run: {error}"
        if cell.attack.claims == "reconstruction":
            self._keep_pictures(f"{cell.id}/{defended.evidence[0].metric}", defended, twin)
        return Measured(
            cell=cell,
            defended=defended.evidence,
            twin=twin.evidence,
            planted=planted.evidence,
            details=details,
        )

    def inapplicable_to_twin(self, cell: Cell) -> bool:
        """Return whether the attack can't work on the undefended job either.

        Then it is no threat to this model; else it is a gap in the audit.
        """
        kind = self.attempts.kind(cell, "undefended")
        attack: Attack = cell.attack.build(cell.settings)
        rng = torch_rng(self.seed, "applicable")
        try:
            if cell.attack.claims == "membership" and isinstance(attack, ActiveAttack):
                self.attempts.run(cell, attack, "undefended", 1)
                return False
            if cell.attack.claims == "membership":
                asked = membership_views(kind, self.federations, "undefended", cell.observer, rng)
                view = asked[0][0]
            elif cell.attack.claims == CLIENTS:
                asked = client_questions(kind, self.federations, "undefended", cell.observer, rng)
                view = asked[0][0]
            elif cell.attack.claims == "linkage":
                asked = linkage_views(kind, self.federations, "undefended", cell.observer, rng)
                view = asked[0][0]
            elif cell.attack.claims == "column":
                view = column_views(kind, self.federations, "undefended", cell, rng)[0][0]
            else:
                transcript = self.attempts.transcript(cell, attack, "undefended")
                view = self.attempts.views(cell, "undefended", transcript)[0][0]
            attack(view, torch_rng(self.seed, "applicable"))
        except NotApplicableError:
            return True
        return False

    def _keep_pictures(self, name: str, defended: Attempt, twin: Attempt) -> None:
        pairs = {"undefended": twin.recovered}
        if self.job.defenses:
            pairs["defended"] = defended.recovered
        self.store.write_arrays(name, picture_arrays(pairs, include_records=self.include_records))
