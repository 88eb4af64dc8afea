"""The best that any attack could do under the defenses' formal guarantees (DESIGN rule 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil

from ..accounting.api import success_bound
from ..accounting.bounds import Profile, Replaced
from ..core.privacy import EpsilonRecord, Exposure
from ..core.threat import Observer
from .bound_curves import bound_curve, rero_prior
from .cells import CLIENTS, Job, Measured
from .evidence import FPR_OF, Evidence
from .views import ROUNDS_TOGETHER

BOUNDED = ("identification_rate", "auc", *FPR_OF)
_STRENGTH = list(Observer)


def with_bounds(measured: Measured, job: Job, exposure: Exposure) -> Measured:
    """Return the cell with the bounds and curves of the defenses that cover its observer."""
    profiles = covering(measured, job, exposure)
    if not profiles:
        return measured
    bounded = [e for e in measured.defended if e.metric in BOUNDED]
    curves = {e.metric: bound_curve(e, profiles) for e in bounded}
    return replace(
        measured,
        bounds={e.metric: least_bound(e, profiles) for e in bounded},
        curves={metric: curve for metric, curve in curves.items() if curve is not None},
    )


def covering(measured: Measured, job: Job, exposure: Exposure) -> list[Profile]:
    """Return what the defenses that cover this cell's observer allow it.

    A record behind several rounds together is known to be in one of all their steps, so
    those count as the steps of one round.
    """
    if measured.cell.view == "history" and measured.cell.attack.claims != "membership":
        exposure = replace(
            exposure,
            rounds=ceil(exposure.rounds / ROUNDS_TOGETHER),
            local_steps=exposure.local_steps * ROUNDS_TOGETHER,
        )
    if measured.cell.attack.claims == CLIENTS:
        return _of_clients(job, exposure, measured.cell.observer)
    profiles = [
        defense.profile(exposure)
        for defense in job.defenses
        if covers(defense.privacy(exposure), measured.cell.observer)
    ]
    return [profile for profile in profiles if isinstance(profile, Profile)]


def _of_clients(job: Job, exposure: Exposure, observer: Observer) -> list[Profile]:
    """Return what guarantees for whole clients allow; those for records say nothing of them.

    A client that is out of such a question has another in its place (`splits`).
    """
    profiles: list[Profile] = []
    for defense in job.defenses:
        records = [r for r in defense.privacy(exposure) if r.unit == "client"]
        profile = defense.profile(exposure)
        if not isinstance(profile, Profile) or not covers(tuple(records), observer):
            continue
        replaced = all(r.adjacency == "replace" for r in records)
        profiles.append(profile if replaced else Replaced(profile))
    return profiles


def least_bound(evidence: Evidence, profiles: Sequence[Profile]) -> float:
    """Return the least value of the evidence's metric that one of `profiles` allows."""
    prior = rero_prior(evidence)
    return min(success_bound(profile, evidence.metric, prior) for profile in profiles)


def covers(records: tuple[EpsilonRecord, ...], observer: Observer) -> bool:
    """Return whether an epsilon record with a finite total holds against this observer."""
    return any(
        record.total_epsilon != float("inf")
        and _STRENGTH.index(observer) >= _STRENGTH.index(Observer(record.observer))
        for record in records
    )
