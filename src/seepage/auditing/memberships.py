"""Of whom membership attacks told: the shares found, the most exposed records, and groups.

Everything follows from the scores that a cell keeps and from the job's records, so that it is
computed with the verdicts and not stored with the cells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..core.exposed import ExposedRecord, FoundAt, Membership, Outliers
from ..core.intervals import clopper_pearson, holm
from ..core.results import Curve, Finding
from ..core.seeds import numpy_rng, torch_rng
from ..core.task import Records
from ..fl.candidates import LEAST
from ..metrics.balanced_accuracy import BalancedAccuracy
from ..metrics.membership import enough_for, tprs_at
from ..metrics.rank_correlation import RankCorrelation
from ..metrics.roc import roc
from ..metrics.singled_out import accused_with
from .bound_curves import FPRS
from .cells import CLIENTS, SINGLE_MOMENT, Cell, Job, Measured
from .evidence import ScoreEvidence
from .groups import holders
from .neighbors import nearest_distances
from .slices import sliced
from .views import asked_records

MOST_EXPOSED = 10
RATES = ((0.001, "tpr_at_01pct_fpr"), (0.01, "tpr_at_1pct_fpr"), (0.1, "tpr_at_10pct_fpr"))
"""False-positive rates at which members are counted, and what a finding at that rate is called."""

ALPHA = 0.05


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Asked:
    """Members and non-members in the order of their scores, and the members' distances."""

    members: Records
    others: Records
    distances: NDArray[np.float64]


def with_memberships(
    findings: Sequence[Finding], measured: Sequence[Measured], jobs: Mapping[str, Job], seed: int
) -> tuple[Finding, ...]:
    """Return the findings; those with the AUC of membership scores say of whom they told."""
    by_id = {f.id: f for f in findings}
    asked: dict[tuple[str, bool], _Asked] = {}
    for m in measured:
        for evidence in m.defended:
            if not isinstance(evidence, ScoreEvidence) or evidence.metric != "auc":
                continue
            if min(len(evidence.members), len(evidence.others)) < LEAST:
                continue
            job, finding = jobs[m.cell.task], by_id[f"{m.cell.id}/auc"]
            if m.cell.attack.claims == CLIENTS:
                by_id[finding.id] = replace(finding, curve=finding.curve or _curve(evidence))
                continue
            key = (m.cell.task, m.cell.view == "history")
            if key not in asked:
                asked[key] = _asked(m.cell, job, seed)
            finding = replace(finding, curve=finding.curve or _curve(evidence))
            told = _membership(m.cell, finding, evidence, by_id, asked[key], job)
            by_id[finding.id] = replace(finding, membership=told)
    memberships = {f.id: f.membership for f in by_id.values() if f.membership is not None}
    corrected = dict(zip(memberships, _corrected(list(memberships.values())), strict=True))
    return tuple(replace(f, membership=corrected.get(f.id)) for f in by_id.values())


def _asked(cell: Cell, job: Job, seed: int) -> _Asked:
    rng = torch_rng(seed, cell.task, "defended", "candidates")
    records, member = asked_records(cell.view, job.task, rng)
    members, others = (records.take(side.nonzero().flatten()) for side in (member, ~member))
    return _Asked(
        members=members,
        others=others,
        distances=nearest_distances(members, job.task.auxiliary),
    )


def _curve(evidence: ScoreEvidence) -> Curve:
    scores = np.array(evidence.members), np.array(evidence.others)
    return Curve(kind="roc", bound=(), measured=roc(*scores, FPRS, numpy_rng(0, "roc")))


def _membership(
    cell: Cell,
    finding: Finding,
    evidence: ScoreEvidence,
    by_id: Mapping[str, Finding],
    asked: _Asked,
    job: Job,
) -> Membership:
    members, others = np.array(evidence.members), np.array(evidence.others)
    accuracy = BalancedAccuracy.of(members, others)
    told = Membership(
        members=len(members),
        others=len(others),
        found=tuple(_found_at(fpr, metric, finding, evidence, by_id) for fpr, metric in RATES),
        balanced_accuracy=accuracy.value,
        balanced_accuracy_ci=accuracy.interval(),
    )
    same = (len(members), len(others)) == (len(asked.members), len(asked.others))
    if cell.view not in SINGLE_MOMENT or not same:
        return told  # scores of something else than all of the job's candidate records
    return replace(
        told,
        most_exposed=_most_exposed(evidence, asked, holders(job.task)),
        outliers=_outliers(evidence, asked),
        slices=sliced(job, members, others, asked.members, asked.others),
    )


def _found_at(
    fpr: float,
    metric: str,
    finding: Finding,
    evidence: ScoreEvidence,
    by_id: Mapping[str, Finding],
) -> FoundAt:
    """Return a rate as its own finding says it; else as the curve does."""
    count = len(evidence.others)
    if not enough_for(fpr, count):
        withheld = f"{count:,} non-members, {round(10 / fpr):,} needed"
        return FoundAt(fpr=fpr, withheld=withheld)
    if judged := by_id.get(finding.id.removesuffix("auc") + metric):
        return FoundAt(fpr=fpr, value=judged.value, ci=judged.ci, null=judged.null)
    null = np.array([evidence.null_members]), np.array([evidence.null_others])
    points = finding.curve.measured if finding.curve else ()
    _, value, low, high = min(points, key=lambda point: abs(point[0] - fpr))
    return FoundAt(fpr=fpr, value=value, ci=(low, high), null=float(tprs_at(*null, fpr)[0]))


def _most_exposed(
    evidence: ScoreEvidence, asked: _Asked, holder: Mapping[int, str]
) -> tuple[ExposedRecord, ...]:
    """Return the members with the highest scores; of equal ones, those that gained most."""
    accused, null = _accused(evidence)
    count, scores = len(evidence.others), np.array(evidence.members)
    rows, distances = asked.members.rows.tolist(), asked.distances
    return tuple(
        ExposedRecord(
            row=rows[i],
            client=holder[rows[i]],
            fpr=float(accused[i] / count),
            ci=clopper_pearson(float(accused[i]), count),
            null_fpr=float(null[i] / count),
            farther_than=float((distances < distances[i]).mean()),
        )
        for i in np.lexsort((-null, -scores))[:MOST_EXPOSED].tolist()
    )


def _accused(evidence: ScoreEvidence) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how many non-members are accused with each member, by the view and by its null."""
    view = accused_with(np.array(evidence.members), np.array(evidence.others))
    null = accused_with(np.array(evidence.null_members), np.array(evidence.null_others))
    return view, null


def _outliers(evidence: ScoreEvidence, asked: _Asked) -> Outliers | None:
    accused, null = _accused(evidence)
    found = RankCorrelation.of((null - accused).astype(float), asked.distances)
    if found is None:
        return None
    return Outliers(
        correlation=found.value,
        ci=found.interval(),
        n=found.n,
        p_value=found.p_value(),
    )


def _corrected(memberships: Sequence[Membership]) -> list[Membership]:
    """Say what is beyond chance, Holm-corrected over all tests of all memberships."""
    tests = [
        (i, by, metric, p)
        for i, m in enumerate(memberships)
        for by, metric, p in (
            *((("", "", m.outliers.p_value),) if m.outliers else ()),
            *((s.by, metric, p) for s in m.slices for metric, p in s.p_values.items()),
        )
    ]
    fell = holm([p for *_, p in tests], ALPHA)
    beyond = {test[:3] for test, is_beyond in zip(tests, fell, strict=True) if is_beyond}
    return [
        replace(
            m,
            tests=len(tests),
            outliers=m.outliers and replace(m.outliers, beyond_chance=(i, "", "") in beyond),
            slices=tuple(
                replace(s, differ=tuple(k for k in s.p_values if (i, s.by, k) in beyond))
                for s in m.slices
            ),
        )
        for i, m in enumerate(memberships)
    ]
