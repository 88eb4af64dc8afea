"""Whether membership attacks tell some groups of people better than others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.exposed import Group, Slice
from ..core.seeds import numpy_rng
from ..metrics.homogeneity import homogeneity
from ..metrics.membership import AUC, TPR, enough_for
from .groups import groups_of, slices_of

if TYPE_CHECKING:
    from ..core.intervals import Estimate, Floats
    from ..core.task import Records
    from .cells import Job

LEAST = 20
"""Members, and non-members, of a group below which nothing is told of it."""

FPR = 0.01


def sliced(
    job: Job, members: Floats, others: Floats, of_members: Records, of_others: Records
) -> tuple[Slice, ...]:
    """Return the job's slices of scores `[n]`, `[m]` of these records, not yet corrected."""
    return tuple(
        _slice(by, job, (members, others), (of_members, of_others)) for by in slices_of(job)
    )


def _slice(
    by: str, job: Job, scores: tuple[Floats, Floats], records: tuple[Records, Records]
) -> Slice:
    (names, place), (_, other_place) = (groups_of(by, job.task, side) for side in records)
    members, others = scores
    groups: list[Group] = []
    estimates: dict[str, list[tuple[Estimate, int]]] = {"auc": [], "tpr_at_1pct_fpr": []}
    small: list[int] = []
    for i, name in enumerate(names):
        mine, rest = members[place == i], others[other_place == i]
        if min(len(mine), len(rest)) < LEAST:
            small += [len(mine) + len(rest)] if len(mine) + len(rest) else []
            continue
        area = AUC.of(mine, rest)
        estimates["auc"].append((area, min(len(mine), len(rest))))
        rate = _rate(mine, rest)
        if rate is not None:
            estimates["tpr_at_1pct_fpr"].append((rate, len(mine)))
        groups.append(_group(name, mine, rest, area, rate))
    left_out = (
        f"{len(small)} with fewer than {LEAST} members or non-members ({sum(small):,} records)"
    )
    return Slice(
        by=by,
        groups=tuple(groups),
        p_values={
            metric: homogeneity(*zip(*found, strict=True))
            for metric, found in estimates.items()
            if len(found) > 1
        },
        left_out=left_out if small else "",
    )


def _rate(members: Floats, others: Floats) -> TPR | None:
    if not enough_for(FPR, len(others)):
        return None
    return TPR.of(members, others, FPR, numpy_rng(0, "bootstrap", "group"))


def _group(name: str, members: Floats, others: Floats, area: AUC, rate: TPR | None) -> Group:
    count = len(others)
    return Group(
        name=name,
        members=len(members),
        others=count,
        auc=area.value,
        auc_ci=area.interval(),
        tpr_at_1pct_fpr=rate.value if rate else None,
        tpr_at_1pct_fpr_ci=rate.interval() if rate else None,
        withheld="" if rate else f"{count:,} non-members, {round(10 / FPR):,} needed",
    )
