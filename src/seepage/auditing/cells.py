"""The cells of an audit: one attack by one observer on one task at one moment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..core.cards import COST_TIERS, AttackCard
from ..core.defense import Defense
from ..core.registry import card
from ..core.results import Curve, NotRun
from ..core.task import Task
from ..core.threat import Capability, Observer
from ..fl.access import capabilities
from .evidence import Evidence

SINGLE_MOMENT = {
    "history": "training",
    "aggregate-history": "training",
    "global-models": "training",
    "model": "final",
    "outputs": "final",
}
"""Views that ask of known records span the whole job; others are taken at a plan's moment.

Of which kind they are else, the attacker chooses the moment, in the course of the training.
"""

CLIENTS = "client-membership"
"""What is claimed of whole clients: whether they took part."""

ASKS_OF_RECORDS = frozenset({"membership", "column", "linkage", CLIENTS})
"""What is claimed of records that a view names, not of the batch behind it."""

_SEEN_THROUGH = {
    "update": Capability.SEES_CLIENT_UPDATES,
    "history": Capability.SEES_CLIENT_UPDATES,
    "aggregate": Capability.SEES_AGGREGATES,
    "aggregate-history": Capability.SEES_AGGREGATES,
    "global-models": Capability.SEES_GLOBAL_MODELS,
    "model": Capability.SEES_FINAL_MODEL,
    "outputs": Capability.SEES_OUTPUTS,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Attacker:
    """An attack with its settings."""

    card: AttackCard
    settings: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Return the attack's plan name."""
        return self.card.name


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Job:
    """A task with its defenses, the moments at which it is attacked, and by what.

    `attacks` names the attacks (empty: all of the audit's); `groups` by what memberships are
    sliced (empty: the columns that people may mind, label and client).
    """

    task: Task
    defenses: tuple[Defense, ...] = ()
    moments: tuple[str, ...] = ("start",)
    attacks: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """What is run, and what identifies it."""

    task: str
    observer: Observer
    attack: AttackCard
    settings: Mapping[str, Any]
    moment: str
    view: str

    @property
    def id(self) -> str:
        """Return a name that is stable over runs."""
        return f"{self.task}/{self.observer.value}/{self.attack.name}/{self.moment}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """A cell that ran: evidence on the job, its undefended twin and the planted control.

    `bounds` and `curves` say by metric what the defenses' guarantees allow.
    """

    cell: Cell
    defended: tuple[Evidence, ...]
    twin: tuple[Evidence, ...]
    planted: tuple[Evidence, ...] = ()
    bounds: Mapping[str, float] = field(default_factory=dict[str, float])
    curves: Mapping[str, Curve] = field(default_factory=dict[str, Curve])
    seconds: float = 0.0
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])


def enumerate_cells(
    jobs: Sequence[Job], attackers: Sequence[Attacker], observers: Sequence[Observer]
) -> tuple[list[Cell], list[NotRun]]:
    """Return the cells to run, cheapest first, and those that a defense rules out.

    The adaptive attacks that a defense's card names are run whether they were chosen or
    not: without them a defense has not been tested (DESIGN rule 7).
    """
    cells: list[Cell] = []
    hidden: list[NotRun] = []
    for job in jobs:
        for observer in observers:
            for attacker in attackers_of(job, attackers):
                if observer not in attacker.card.observers:
                    continue
                found = list(_cells(job, observer, attacker))
                cells += found
                if not found and any(d.hides for d in job.defenses):
                    hidden.append(_ruled_out(job, observer, attacker))
    cells.sort(key=lambda c: COST_TIERS.index(c.attack.cost))
    return cells, hidden


def attackers_of(job: Job, attackers: Sequence[Attacker]) -> list[Attacker]:
    """Return those chosen for the job, and those that its defenses must face."""
    adaptive = {name for d in job.defenses for name in d.card.adaptive_attacks}
    known = {a.name: a for a in attackers}
    chosen = [a for a in attackers if not job.attacks or a.name in (*job.attacks, *adaptive)]
    missing = sorted(adaptive - known.keys())
    return chosen + [Attacker(card=card("attacks", name), settings={}) for name in missing]


def view_kind(attack: AttackCard, observer: Observer, defenses: Sequence[Defense]) -> str | None:
    """Return the first kind of view that the attack accepts and the observer gets."""
    has = capabilities(observer, defenses)
    if not set(attack.needs) <= has:
        return None
    for kind in attack.views:
        summed = kind in {"aggregate", "aggregate-history"}
        weaker = (summed and Capability.SEES_CLIENT_UPDATES in has) or (
            kind == "outputs" and Capability.SEES_FINAL_MODEL in has
        )
        if _SEEN_THROUGH[kind] in has and not weaker:
            return kind
    return None


def _cells(job: Job, observer: Observer, attacker: Attacker) -> Iterator[Cell]:
    kind = view_kind(attacker.card, observer, job.defenses)
    if kind is None:
        return
    known = attacker.card.claims in ASKS_OF_RECORDS
    single = SINGLE_MOMENT.get(kind, "training") if known else None
    for moment in (single,) if single else job.moments:
        yield Cell(
            task=job.task.name,
            observer=observer,
            attack=attacker.card,
            settings=attacker.settings,
            moment=moment,
            view=kind,
        )


def _ruled_out(job: Job, observer: Observer, attacker: Attacker) -> NotRun:
    by = [d.card.name for d in job.defenses if d.hides]
    return NotRun(
        task=job.task.name,
        attack=attacker.card.name,
        observer=observer.value,
        moment="",
        reason=f"{', '.join(by)} hides what it needs from this observer",
        gated=False,
    )
