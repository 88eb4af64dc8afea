from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from fl_jobs import Plain, job, mlp
from fl_reach import holds, memory, reachable
from torch import nn

from seepage.core.errors import UsageError
from seepage.core.seeds import torch_rng
from seepage.core.threat import OBSERVERS, Capability, Observer
from seepage.core.views import AuxiliaryData, BatchSize, Candidates
from seepage.fl.access import capabilities
from seepage.fl.candidates import candidates
from seepage.fl.engine import train
from seepage.fl.membership_views import evenly_spaced
from seepage.fl.views import (
    aggregate_views,
    global_models_view,
    history_views,
    model_view,
    outputs_view,
    update_views,
)

SERVER, WIRE = Observer.HONEST_SERVER, Observer.EAVESDROPPER


class Replaces(Plain):
    """Sends noise in the raw update's stead, in the three ways that could drag it along."""

    def __init__(self, way, raw):
        self.way, self.raw = way, raw

    def protect_update(self, update, rng):
        self.raw.append(update)
        noise = {n: torch.randn(v.shape, generator=rng) for n, v in update.items()}
        if self.way == "graph":
            return {n: noise[n].requires_grad_() + 0 * (noise[n] * update[n]) for n in update}
        if self.way == "storage":
            both = {n: torch.cat([noise[n].flatten(), update[n].flatten()]) for n in update}
            return {n: both[n][: v.numel()].view_as(v) for n, v in update.items()}
        return noise

    def protect_aggregate(self, aggregate, contributors, rng):
        return self.protect_update(aggregate, rng)


class SecretSum(Plain):
    hides = frozenset({Capability.SEES_CLIENT_UPDATES})


class Sealed(Plain):
    hides = frozenset(Capability)


def _all_views(transcript, observer):
    drawn = candidates(transcript.task, torch_rng(0, "candidates"))
    rounds = list(transcript.rounds)
    return [
        *update_views(transcript, observer, rounds),
        *aggregate_views(transcript, observer, rounds),
        *history_views(transcript, observer, candidates=drawn.by_client),
        *global_models_view(transcript, observer, *drawn.pooled),
        *model_view(transcript, observer, *drawn.pooled),
        *outputs_view(transcript, observer, *drawn.pooled),
    ]


@pytest.mark.parametrize("way", ["plain", "graph", "storage"])
@pytest.mark.parametrize("hidden", [False, True])
def test_a_view_holds_nothing_that_was_not_granted(way, hidden):
    raw = []
    defenses = [Replaces(way, raw), *([SecretSum()] if hidden else [])]
    task = job(clients=3, local_steps=2)
    transcript = train(task, defenses=defenses, seed=0, record=[0, 2])
    assert holds(transcript, transcript.rounds[0].batches[0].inputs[0])
    released = [r.released[c] for r in transcript.rounds.values() for c in range(3)]
    for observer in (SERVER, WIRE, Observer.PEER_CLIENT, Observer.MODEL_HOLDER):
        views = _all_views(transcript, observer)
        assert views
        for view, _ in views:
            kind = type(view).__name__
            for update in raw:
                assert not any(holds(view, v) for v in update.values()), kind
            if kind in ("UpdateView", "AggregateView"):
                batches = [c.train for c in task.clients]
                assert not any(holds(view, x) for b in batches for x in b.inputs), kind
            if kind not in ("UpdateView", "HistoryView"):
                assert not any(holds(view, u["1.weight"]) for u in released), kind
            assert not any(isinstance(x, Plain | type(transcript)) for x in reachable(view)), kind


def test_the_walk_finds_what_is_hidden_in_graphs_storages_closures_and_modules():
    secret = torch.randn(5)
    graph = secret.clone().requires_grad_() * torch.randn(5)
    model = mlp()
    model.cache = {"seen": [secret.clone()]}
    for hiding in (
        {"a": (secret.clone(),)},
        graph,
        torch.cat([torch.zeros(3), secret])[:3],
        lambda: secret,
        lambda x=secret: x,
        model,
    ):
        assert holds(hiding, secret)
    assert not holds([graph.detach(), mlp()], secret)


def test_update_views_carry_the_model_sent_and_the_update_released():
    task = job(lambda: mlp(last=nn.BatchNorm1d(16)), cohort=2)
    transcript = train(task, defenses=[Plain()], seed=0, replica=3, record=[0, 2])
    pairs = update_views(transcript, SERVER, [2])
    assert [v.client for v, _ in pairs] == list(transcript.rounds[2].released)
    for view, truth in pairs:
        record = transcript.rounds[2]
        state = dict(view.model.named_parameters()) | dict(view.model.named_buffers())
        assert all(torch.equal(state[n], v) for n, v in record.state.items())
        assert view.model.training
        assert view.update is record.released[view.client]
        assert view.round == 2
        assert truth.cluster == f"3/2/{view.client}"
        assert torch.equal(truth.rows, record.batches[view.client].rows)
        train_set = task.clients[view.client].train
        place = truth.rows - 100 * view.client
        assert torch.equal(truth.inputs, train_set.inputs[place])
        assert torch.equal(truth.targets, train_set.targets[place])
        assert view.fact(BatchSize) == BatchSize(4)
        assert view.defenses[0].name == "plain"
        assert view.job == task.job_facts()
    assert len({id(v.model) for v, _ in pairs}) == 2
    (wire, _), *_ = update_views(transcript, WIRE, [2])
    assert wire.fact(BatchSize) is None
    with torch.no_grad():
        wire.model[1].weight.zero_()
    (again, _), *_ = update_views(transcript, WIRE, [2])
    assert again.model[1].weight.any()


def test_the_batch_size_told_is_the_expected_one_even_where_no_record_was_drawn():
    class Sampled(Plain):
        poisson = True

    task = job(batch_size=1, rounds=10)
    transcript = train(task, defenses=[Sampled()], seed=0, record=range(10))
    pairs = update_views(transcript, SERVER, range(10))
    assert len(pairs) == 40
    assert {v.fact(BatchSize).value for v, _ in pairs} == {1}
    empty = [(v, t) for v, t in pairs if not len(t.rows)]
    assert empty
    for view, truth in empty:
        assert truth.inputs.shape == (0, 1, 8, 8)
        assert not any(v.any() for v in view.update.values())


def test_aggregates_are_shown_only_where_single_updates_are_hidden():
    task = job(cohort=3)
    bare = train(task, seed=0, record=[1])
    summed = train(task, defenses=[SecretSum()], seed=0, record=[1])
    assert update_views(bare, SERVER, [1])
    assert not aggregate_views(bare, SERVER, [1])
    assert not update_views(summed, SERVER, [1])
    assert not history_views(summed, SERVER, candidates={})
    ((view, truth),) = aggregate_views(summed, SERVER, [1])
    record = summed.rounds[1]
    assert view.contributors == 3
    assert view.aggregate is record.aggregate
    rows = torch.cat([b.rows for b in record.batches.values()])
    assert torch.equal(truth.rows, rows)
    assert truth.cluster == "0/1"
    assert not aggregate_views(summed, Observer.PEER_CLIENT, [1])
    with pytest.raises(UsageError, match=r"round 2 was not recorded.*\(recorded: 1\)"):
        update_views(bare, SERVER, [1, 2])


def test_capabilities_are_the_cards_less_what_defenses_hide():
    for observer, card in OBSERVERS.items():
        assert capabilities(observer) == card.capabilities
        less = {Capability.SEES_CLIENT_UPDATES}
        assert capabilities(observer, [Plain(), SecretSum()]) == card.capabilities - less
        assert not _all_views(train(job(), defenses=[Sealed()], seed=0, record=[0]), observer)


def _kinds(observer, transcript):
    return sorted({type(v).__name__ for v, _ in _all_views(transcript, observer)})


def test_each_observer_gets_the_views_of_its_vantage():
    transcript = train(job(), seed=0, record=[0, 1])
    final = ["ModelView", "OutputsView"]
    everything = ["GlobalModelsView", "HistoryView", *final, "UpdateView"]
    assert _kinds(SERVER, transcript) == _kinds(WIRE, transcript) == everything
    assert _kinds(Observer.PEER_CLIENT, transcript) == ["GlobalModelsView", *final]
    assert _kinds(Observer.MODEL_HOLDER, transcript) == final
    assert _kinds(Observer.MODEL_USER, transcript) == ["OutputsView"]
    assert _kinds(Observer.RELEASE_READER, transcript) == []


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


def test_a_layer_that_remembers_its_inputs_is_handed_out_clean():
    class Remembers(nn.Module):
        def forward(self, x):
            self.last = x
            return x

    task = job(lambda: nn.Sequential(Remembers(), *mlp()))
    transcript = train(task, seed=0, record=[0])
    for view, _ in [*update_views(transcript, SERVER, [0]), *_all_views(transcript, SERVER)]:
        if hasattr(view, "model"):
            assert not hasattr(view.model[0], "last")


def test_candidates_hold_members_and_others_in_an_order_that_tells_nothing():
    task = job(n=30, clients=5)
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


def test_auxiliary_data_is_disjoint_from_what_clients_hold():
    task = job()
    mixed = replace(task.auxiliary, rows=torch.tensor([0, 1, 50, 20_000, 20_001, 101, 9]))
    task = replace(task, auxiliary=mixed)
    transcript = train(task, seed=0, record=[0])
    (view, _), *_ = update_views(transcript, SERVER, [0])
    assert torch.equal(view.fact(AuxiliaryData).inputs, mixed.inputs[3:5])
    assert not holds(view, mixed.inputs[0])
