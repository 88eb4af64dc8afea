"""Whose membership can be asked about: no repeats, no members in disguise, no label that tells."""

from dataclasses import replace

import pytest
import torch
from fl_jobs import job

from seepage.core.errors import DataError
from seepage.core.task import Records, Task
from seepage.fl.candidates import LEAST, candidates, usable


def known(task: Task) -> Task:
    """The job with two labels only, so that each client has both on both sides."""

    def both(held: Records) -> Records:
        return replace(held, targets=torch.arange(len(held)) % 2)

    clients = tuple(replace(c, train=both(c.train), holdout=both(c.holdout)) for c in task.clients)
    return replace(task, clients=clients, classes=2)


def with_client(task: Task, number: int, **parts: Records) -> Task:
    clients = list(task.clients)
    clients[number] = replace(clients[number], **parts)
    return replace(task, clients=tuple(clients))


def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_nothing_is_left_out_of_plain_data() -> None:
    task = known(job(n=40))
    found = usable(task)
    assert found.left_out == ""
    asked, member = candidates(task, rng()).pooled
    assert int(member.sum()) == sum(len(c.train) for c in task.clients)
    assert len(set(asked.rows.tolist())) == len(asked)


def test_a_held_out_record_that_somebody_trains_on_is_asked_of_nobody() -> None:
    task = known(job(n=40))
    held = task.clients[0].holdout
    copy = replace(task.clients[2].train.take(torch.arange(3)), rows=torch.arange(900, 903))
    planted = with_client(task, 0, holdout=Records.joined([held, copy]))
    found = usable(planted)
    assert found.left_out == "3 are held out and trained on"
    asked, member = candidates(planted, rng()).pooled
    assert not set(asked.rows.tolist()) & {900, 901, 902}
    assert int((~member).sum()) == sum(len(c.holdout) for c in task.clients)
    # The same input under another label is another record.
    other = replace(copy, targets=1 - copy.targets)
    assert usable(with_client(task, 0, holdout=Records.joined([held, other]))).left_out == ""


def test_a_repeated_record_counts_once() -> None:
    task = known(job(n=40))
    train = task.clients[1].train
    again = replace(train.take(torch.arange(5)), rows=torch.arange(900, 905))
    planted = with_client(task, 1, train=Records.joined([train, again]))
    found = usable(planted)
    assert found.left_out == "5 repeat another"
    assert found.members[1].rows.tolist() == train.rows.tolist()


def test_a_label_that_a_client_never_trains_on_tells_nothing_of_membership() -> None:
    task = known(job(n=40))
    train = task.clients[3].train
    planted = with_client(task, 3, train=train.take((train.targets == 0).nonzero().flatten()))
    found = usable(planted)
    lost = int((task.clients[3].holdout.targets == 1).sum())
    assert (
        found.left_out == f"{lost} are held out and of a label that their client does not train on"
    )
    assert found.others[3].targets.unique().tolist() == [0]
    assert len(found.others[2]) == len(task.clients[2].holdout)


def test_too_few_are_withheld_with_the_reason() -> None:
    few = known(job(n=40, clients=1))
    spare = replace(
        few.clients[0].train.take(torch.arange(20, 20 + LEAST)), rows=torch.arange(LEAST)
    )
    few = with_client(few, 0, train=few.clients[0].train.take(torch.arange(20)), holdout=spare)
    candidates(few, rng())
    held = few.clients[0].holdout
    copy = replace(few.clients[0].train.take(torch.arange(2)), rows=torch.arange(900, 902))
    planted = with_client(
        few, 0, holdout=Records.joined([held.take(torch.arange(LEAST - 1)), copy])
    )
    reason = r"withheld: \d+ members and 9 non-members .*10 of each .*2 are held out and trained on"
    with pytest.raises(DataError, match=reason):
        candidates(planted, rng())
    twice = with_client(
        few, 0, train=Records.joined([few.clients[0].train.take(torch.arange(4))] * 10)
    )
    with pytest.raises(DataError, match=r"withheld: 4 members .*36 repeat another"):
        candidates(twice, rng())


def test_values_to_regress_have_no_labels_to_match() -> None:
    task = job(n=40)
    rest = torch.Generator().manual_seed(3)
    clients = tuple(
        replace(
            c,
            train=replace(c.train, targets=torch.rand(len(c.train), generator=rest)),
            holdout=replace(c.holdout, targets=torch.rand(len(c.holdout), generator=rest)),
        )
        for c in task.clients
    )
    assert usable(replace(task, clients=clients, classes=0)).left_out == ""
