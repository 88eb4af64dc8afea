from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from fl_jobs import job, mlp
from torch import nn

from reach import memory, reachable
from seepage.core.seeds import torch_rng
from seepage.core.threat import Observer
from seepage.core.views import AuxiliaryData, Candidates
from seepage.fl.candidates import candidates
from seepage.fl.engine import train
from seepage.fl.membership_views import evenly_spaced
from seepage.fl.views import (
    global_models_view,
    history_views,
    model_view,
    outputs_view,
)

SERVER = Observer.HONEST_SERVER


def test_histories_share_rounds_and_name_their_target():
    task = job(rounds=25)
    transcript = train(task, seed=0, record=range(25))
    drawn = candidates(task, torch_rng(0)).by_client
    pairs = history_views(transcript, SERVER, candidates=drawn)
    nulls = history_views(transcript, SERVER, candidates=drawn, target_of=lambda i: (i + 1) % 4)
    assert [v.client for v, _ in pairs] == [0, 1, 2, 3]
    assert [v.client for v, _ in nulls] == [1, 2, 3, 0]
    shown = [r.round for r in pairs[0][0].rounds]
    assert len(shown) == 10
    assert (shown[0], shown[-1]) == (0, 24)
    assert {b - a for a, b in pairwise(shown)} <= {2, 3}
    for (view, truth), (null, null_truth), (records, member) in zip(
        pairs, nulls, drawn.values(), strict=True
    ):
        assert view.rounds is pairs[0][0].rounds
        assert view.rounds[3].updates is transcript.rounds[shown[3]].released
        assert view.rounds[3].state is transcript.states[shown[3]]
        assert truth.member is null_truth.member is member
        assert torch.equal(view.fact(Candidates).inputs, records.inputs)
        assert torch.equal(null.fact(Candidates).inputs, records.inputs)
        assert torch.equal(view.model[1].weight, transcript.states[24]["1.weight"])


@pytest.mark.parametrize("most", [2, 10])
def test_evenly_spaced_numbers_are_distinct_and_keep_both_ends(most):
    for n in range(1, 60):
        chosen = evenly_spaced(range(n), most)
        assert len(chosen) == len(set(chosen)) == min(n, most)
        assert (chosen[0], chosen[-1]) == (0, n - 1)


def test_outputs_are_probabilities_of_the_final_model_and_no_model_is_inside():
    task = job(lambda: mlp(last=nn.Dropout(0.5)))
    transcript = train(task, seed=0, record=[0])
    records, member = candidates(task, torch_rng(0)).pooled
    ((view, truth),) = outputs_view(transcript, Observer.MODEL_USER, records, member)
    ((holder, _),) = model_view(transcript, Observer.MODEL_HOLDER, records, member)
    assert not holder.model.training
    assert holder.model is not transcript.model
    expected = holder.model(records.inputs).softmax(-1).detach()
    assert torch.allclose(view.outputs, expected, atol=1e-6)
    assert not any(isinstance(x, nn.Module) for x in reachable(view))
    weight = transcript.model[1].weight.detach()
    assert not any(len(block) == weight.numel() for block in memory(view))
    assert truth.member is member
    regression = replace(transcript, task=replace(task, classes=0))
    ((raw, _),) = outputs_view(regression, Observer.MODEL_USER, records, member)
    assert torch.allclose(raw.outputs, holder.model(records.inputs).detach(), atol=1e-6)


def test_global_models_are_those_at_the_start_of_recorded_rounds():
    transcript = train(job(), seed=0, record=[0, 2])
    records, member = candidates(transcript.task, torch_rng(0)).pooled
    ((view, _),) = global_models_view(transcript, Observer.PEER_CLIENT, records, member)
    assert [n for n, _ in view.rounds] == [0, 2]
    assert view.rounds[1][1] is transcript.states[2]
    assert not view.model.training
    assert torch.equal(view.model[1].weight, transcript.states[2]["1.weight"])


def test_candidates_hold_members_and_others_in_an_order_that_tells_nothing():
    task = job(n=30, clients=5)
    # Of labels that their client trains on: others are left out, which has tests of its own.
    clients = tuple(
        replace(c, holdout=replace(c.holdout, targets=c.train.targets[:6])) for c in task.clients
    )
    task = replace(task, clients=clients)
    drawn = candidates(task, torch_rng(1))
    for i, (records, member) in drawn.by_client.items():
        train_rows = set(task.clients[i].train.rows.tolist())
        assert [r in train_rows for r in records.rows.tolist()] == member.tolist()
        assert (len(records), int(member.sum())) == (36, 30)
    records, member = drawn.pooled
    assert (len(records), int(member.sum())) == (180, 150)
    place = torch.arange(180.0)
    assert abs(torch.corrcoef(torch.stack([place, member.float()]))[0, 1]) < 4 / 180**0.5
    assert abs(torch.corrcoef(torch.stack([place, records.rows.float()]))[0, 1]) < 4 / 180**0.5
    few = candidates(task, torch_rng(1), limit=4)
    assert [int(m.sum()) for _, m in few.by_client.values()] == [4] * 5
    assert len(few.pooled[0]) == 40


def test_the_attacker_of_a_null_job_has_the_same_auxiliary_data():
    task = job()
    records, member = candidates(task, torch_rng(0)).pooled
    swapped = tuple(replace(c, train=task.auxiliary) for c in task.clients)
    facts = []
    for clients in (task.clients, swapped):
        transcript = train(replace(task, clients=clients), seed=0)
        ((view, _),) = model_view(transcript, SERVER, records, member)
        facts.append(view.fact(AuxiliaryData).inputs)
    assert torch.equal(*facts)
    assert len(facts[0]) == 7
