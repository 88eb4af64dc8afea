"""The best that any attack could do under the defenses' formal guarantees (DESIGN rule 5)."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

from ..accounting.api import success_bound
from ..accounting.bounds import Profile
from ..core.privacy import EpsilonRecord, Exposure
from ..core.threat import Observer
from .cells import Job, Measured
from .evidence import FPR_OF
from .views import ROUNDS_TOGETHER

BOUNDED = ("identification_rate", "auc", *FPR_OF)
_STRENGTH = list(Observer)


def bounds(measured: Measured, job: Job, exposure: Exposure) -> dict[str, float]:
    """Return by metric the least bound of the defenses that cover this cell's observer.

    A record behind several rounds together is known to be in one of all their steps, so
    those count as the steps of one round.
    """
    found: dict[str, float] = {}
    if measured.cell.view == "history" and measured.cell.attack.claims != "membership":
        exposure = replace(
            exposure,
            rounds=ceil(exposure.rounds / ROUNDS_TOGETHER),
            local_steps=exposure.local_steps * ROUNDS_TOGETHER,
        )
    profiles = [
        defense.profile(exposure)
        for defense in job.defenses
        if covers(defense.privacy(exposure), measured.cell.observer)
    ]
    for evidence in measured.defended:
        if evidence.metric not in BOUNDED:
            continue
        measure = evidence.measure()
        prior = max(measure.null.value, measure.prior.value, 1 / max(evidence.n, 1000))
        limits = [
            success_bound(p, evidence.metric, prior) for p in profiles if isinstance(p, Profile)
        ]
        if limits:
            found[evidence.metric] = min(limits)
    return found


def covers(records: tuple[EpsilonRecord, ...], observer: Observer) -> bool:
    """Return whether an epsilon record with a finite total holds against this observer."""
    return any(
        record.total_epsilon != float("inf")
        and _STRENGTH.index(observer) >= _STRENGTH.index(Observer(record.observer))
        for record in records
    )
