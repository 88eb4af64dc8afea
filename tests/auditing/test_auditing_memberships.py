"""Of whom an attack told: planted exposure is found to the record, groups that differ are named."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from seepage.auditing.attempts import Attempts
from seepage.auditing.cells import Attacker, Cell, Job, Measured, enumerate_cells
from seepage.auditing.evidence import ScoreEvidence, membership_evidence
from seepage.auditing.federations import Federations
from seepage.auditing.groups import check_groups, groups_of, slices_of
from seepage.auditing.memberships import with_memberships
from seepage.auditing.verdict import judge
from seepage.auditing.views import asked_records
from seepage.core.claims import MembershipScores
from seepage.core.columns import TableColumn
from seepage.core.errors import UsageError
from seepage.core.exposed import Membership
from seepage.core.plan import Gate
from seepage.core.registry import card
from seepage.core.seeds import torch_rng
from seepage.core.task import Records, Task
from seepage.core.threat import Observer
from seepage.core.views import Candidates, View
from tables import job, table


def wide_job(held: int = 60, out: int = 60) -> Task:
    """Four clients with enough held-out records to be told of; labels go with nothing."""
    task = job(held=held, noisy=True)
    clients = tuple(
        replace(c, holdout=table(out, 2, 11 + i, tied=0.0, noisy=True))
        for i, c in enumerate(task.clients)
    )
    return replace(task, clients=clients)


def cell_of(task: Task, attack: str, observer: Observer) -> Cell:
    attacker = Attacker(card=card("attacks", attack), settings={})
    return enumerate_cells([Job(task=task)], [attacker], [observer])[0][0]


def told(task: Task, cell: Cell, evidence: Sequence[ScoreEvidence], **job: object) -> Membership:
    """What the audit's last step makes of a cell's evidence."""
    measured = Measured(cell=cell, defended=tuple(evidence), twin=tuple(evidence))
    findings = judge([measured], Gate(), datetime.date(2030, 1, 1))
    jobs = {task.name: Job(task=task, **job)}
    found = with_memberships(findings, [measured], jobs, seed=0)
    with_it = [f for f in found if f.membership is not None]
    assert [f.metric for f in with_it] == ["auc"]
    assert with_it[0].curve is not None
    assert with_it[0].curve.bound == ()
    assert with_it[0].membership is not None
    return with_it[0].membership


def scored(
    task: Task, cell: Cell, score: object, null: object = None
) -> tuple[tuple[ScoreEvidence, ...], Records]:
    """Evidence of `score(records, member, rng)`, and the members in its order."""
    records, member = asked_records(
        cell.view, task, torch_rng(0, task.name, "defended", "candidates")
    )
    rng = np.random.default_rng(5)
    scores = score(records, member.numpy(), rng)
    nulls = null(records, rng) if null else rng.standard_normal(len(member))
    return membership_evidence(scores, nulls, member.numpy()), records.take(member.nonzero()[:, 0])


@dataclass(frozen=True, kw_only=True)
class FirstNumber:
    """Scores a candidate by its first number, whatever it sees."""

    def __call__(self, view: View, rng: torch.Generator) -> MembershipScores:
        """Look at the candidates alone."""
        return MembershipScores(scores=view.fact(Candidates).inputs[:, 0])


@pytest.mark.parametrize(
    ("attack", "observer"),
    [("loss", Observer.MODEL_HOLDER), ("fed-mia", Observer.HONEST_SERVER)],
)
def test_the_records_named_are_those_that_were_scored(attack: str, observer: Observer) -> None:
    task = replace(wide_job(), training=replace(job().training, rounds=3))
    whole, cell = Job(task=task), cell_of(task, attack, observer)
    attempts = Attempts(job=whole, federations=Federations(whole, seed=0, width=1), seed=0)
    evidence = attempts.run(cell, FirstNumber(), "defended", 1).evidence
    found = told(task, cell, evidence).most_exposed
    members = Records.joined(c.train for c in task.clients)
    highest = members.inputs[:, 0].argsort(descending=True)[: len(found)]
    assert [r.row for r in found] == members.rows[highest].tolist()
    holder = {row: c.name for c in task.clients for row in c.train.rows.tolist()}
    assert [r.client for r in found] == [holder[r.row] for r in found]
    others = torch.cat([c.holdout.inputs[:, 0] for c in task.clients])
    for record, value in zip(found, members.inputs[highest, 0], strict=True):
        assert record.fpr == pytest.approx(float((others >= value).float().mean()))
        assert record.ci[0] <= record.fpr <= record.ci[1]


def test_planted_exposure_is_known_exactly() -> None:
    """Every fifth member scores above all others, the rest below: 20 % are told at any rate."""
    task = wide_job(held=125, out=300)
    cell = cell_of(task, "loss", Observer.MODEL_HOLDER)

    def score(records: Records, member: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Single out rows that five divides."""
        sure = member & (records.rows.numpy() % 5 == 0)
        return np.where(sure, 9.0, np.where(member, -9.0, rng.random(len(member))))

    evidence, members = scored(task, cell, score)
    found = told(task, cell, evidence)
    share = float((members.rows % 5 == 0).double().mean())
    assert share == 0.2
    tenth, hundredth, thousandth = reversed(found.found)
    assert (thousandth.value, thousandth.withheld) == (None, "1,200 non-members, 10,000 needed")
    assert (hundredth.value, tenth.value) == (share, share)
    assert hundredth.ci[0] < share < hundredth.ci[1]
    judged = judge(
        [Measured(cell=cell, defended=evidence, twin=evidence)], Gate(), datetime.date(2030, 1, 1)
    )
    assert hundredth.ci == next(f.ci for f in judged if f.metric == "tpr_at_1pct_fpr")
    assert all(r.row % 5 == 0 and r.fpr == 0 for r in found.most_exposed)
    assert found.most_exposed[0].ci[1] == pytest.approx(1 - 0.025 ** (1 / 1200))
    assert found.balanced_accuracy == pytest.approx(0.6)


def test_a_group_that_is_told_and_one_that_is_not_differ_and_null_ones_do_not() -> None:
    task = wide_job(held=125, out=125)
    cell = cell_of(task, "loss", Observer.MODEL_HOLDER)

    def score(records: Records, member: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Tell members of group `a` alone."""
        own, _ = groups_of("own", task, records)
        assert own == ["a", "b"]
        first = records.inputs[:, -2].numpy() == 1
        return rng.standard_normal(len(member)) + 1.5 * (member & first)

    evidence, _ = scored(task, cell, score)
    found = told(task, cell, evidence)
    own, label, client = found.slices
    assert [s.by for s in found.slices] == ["own", "label", "client"]
    assert own.differ == ("auc",)
    first, second = own.groups
    assert first.auc_ci[0] > 0.75
    assert second.auc_ci[0] < 0.5 < second.auc_ci[1]
    assert first.withheld.endswith("non-members, 1,000 needed")
    assert (label.differ, client.differ) == ((), ())
    assert found.tests == 4  # outliers, own, label, client
    (only,) = told(task, cell, evidence, groups=("own",)).slices
    assert only.groups == own.groups
    few = told(wide_job(held=125, out=19), cell, scored(wide_job(125, 19), cell, score)[0])
    assert few.slices[2].groups == ()
    assert few.slices[2].left_out.startswith("4 with fewer than 20 members or non-members (576")


def test_outliers_that_gain_exposure_are_told_from_records_that_are_merely_odd() -> None:
    task = wide_job(held=125, out=125)
    cell = cell_of(task, "loss", Observer.MODEL_HOLDER)
    known = task.auxiliary.inputs

    def far(records: Records) -> np.ndarray:
        """Distance to the nearest auxiliary record."""
        return torch.cdist(records.inputs, known).amin(1).double().numpy()

    def learned(records: Records, member: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Outliers among members are told."""
        return rng.standard_normal(len(member)) + 3 * member * (far(records) - 1.5)

    def odd(records: Records, member: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Outliers score high, members or not, as they do in the null."""
        return rng.standard_normal(len(member)) + 3 * far(records)

    gained = told(task, cell, scored(task, cell, learned)[0]).outliers
    merely = told(
        task, cell, scored(task, cell, odd, lambda r, rng: odd(r, np.ones(len(r)), rng))[0]
    ).outliers
    assert gained.beyond_chance
    assert gained.ci[0] > 0.2
    assert not merely.beyond_chance
    assert merely.ci[0] < 0 < merely.ci[1]


def test_scores_of_something_else_than_the_candidates_name_no_record() -> None:
    task = wide_job()
    cell = cell_of(task, "loss", Observer.MODEL_HOLDER)
    rng = np.random.default_rng(0)
    member = np.repeat([True, False], 30)
    evidence = membership_evidence(*rng.standard_normal((2, 60)), member)
    found = told(task, cell, evidence)
    assert (found.members, found.others, found.most_exposed, found.slices) == (30, 30, (), ())
    assert all(f.value is None for f in found.found)
    as_many = scored(task, cell, lambda records, member, rng: rng.random(len(member)))[0]
    assert told(task, cell, as_many).most_exposed
    one_by_one = replace(cell, view="update")  # in another order
    assert told(task, one_by_one, as_many).most_exposed == ()


def test_groups_of_numbers_are_parts_that_auxiliary_records_set() -> None:
    task = job()
    records = task.clients[0].train
    names, place = groups_of("x1", task, records)
    assert names == ["lowest of 4 parts", "part 2 of 4", "part 3 of 4", "highest of 4 parts"]
    edges = np.quantile(task.auxiliary.inputs[:, 1].numpy(), (0.25, 0.5, 0.75))
    assert (place == np.searchsorted(edges, records.inputs[:, 1].numpy())).all()
    flags = TableColumn(name="x0", first=0, width=2)
    two = torch.stack([torch.tensor([0.0, 1, 1, 0]), torch.tensor([0.0, 0, 0, 1])], 1)
    binary = replace(
        task,
        columns=(flags,),
        auxiliary=Records(inputs=two, targets=torch.zeros(4), rows=torch.arange(4)),
    )
    names, place = groups_of("x0", binary, binary.auxiliary)
    assert [names[i] for i in place] == [
        "lowest of 2 parts",
        *["highest of 2 parts"] * 2,
        "(missing)",
    ]


def test_what_is_no_column_is_refused_with_the_nearest() -> None:
    task = job()
    assert slices_of(Job(task=task)) == ["own", "label", "client"]
    check_groups([Job(task=task, groups=("x1", "client"))])
    with pytest.raises(
        UsageError, match="task table: groups is no place for 'onw'; did you mean 'own'"
    ):
        check_groups([Job(task=task, groups=("onw",))])
