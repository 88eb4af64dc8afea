"""The planted federation: what an attack that works at all must see."""

from __future__ import annotations

import torch

from seepage.auditing.attempts import Attempts
from seepage.auditing.cells import Attacker, Job, enumerate_cells
from seepage.auditing.federations import Federations, overfit_task
from seepage.auditing.spec import from_plan
from seepage.auditing.verdict import leaked
from seepage.core.plan import Component, DataPlan, Plan, TaskPlan
from seepage.core.registry import card
from seepage.core.task import Training
from seepage.core.threat import Observer


def digits() -> Job:
    """A job on digits that learns little by heart."""
    task = TaskPlan(
        name="digits",
        data=DataPlan(source="digits", clients=4),
        model=Component(name="mlp", settings={"width": 64}),
        training=Training(rounds=8, batch_size=16, lr=0.3),
    )
    return from_plan(Plan(tasks=(task,)), source="test").jobs[0]


def test_shuffled_labels_are_the_same_labels_and_leave_the_job_alone() -> None:
    task = digits().task
    before = [c.train.targets.clone() for c in task.clients]
    planted = overfit_task(task)
    for client, plain, own in zip(planted.clients, task.clients, before, strict=True):
        assert torch.equal(plain.train.targets, own)
        shuffled = torch.cat([client.train.targets, client.holdout.targets])
        known = torch.cat([plain.train.targets[: len(client.train)], plain.holdout.targets])
        assert torch.equal(shuffled.sort().values, known.sort().values)
        assert not torch.equal(shuffled, known)
        assert torch.equal(client.train.inputs, plain.train.inputs[: len(client.train)])


def test_an_attack_that_works_sees_it_beyond_doubt_and_its_null_sees_nothing() -> None:
    job = digits()
    attacker = Attacker(card=card("attacks", "loss"), settings={})
    cells, _ = enumerate_cells([job], [attacker], [Observer.MODEL_HOLDER])
    attempts = Attempts(job=job, federations=Federations(job, seed=0, width=1), seed=0)
    found = attempts.run(cells[0], card("attacks", "loss").build({}), "planted-overfit", 0)
    auc = next(e for e in found.evidence if e.metric == "auc")
    measure = auc.measure()
    assert measure.value.value > 0.9
    assert abs(measure.null.value - 0.5) < 0.1
    assert leaked(auc, 0.3)
