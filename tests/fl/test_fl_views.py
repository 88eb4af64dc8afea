from dataclasses import replace

import pytest
import torch
from fl_jobs import Plain, job, mlp
from torch import nn

from reach import holds, reachable
from seepage.core.errors import UsageError
from seepage.core.seeds import torch_rng
from seepage.core.threat import OBSERVERS, Capability, Observer
from seepage.core.views import AuxiliaryData, BatchSize
from seepage.fl.access import capabilities
from seepage.fl.candidates import candidates
from seepage.fl.engine import train
from seepage.fl.views import (
    aggregate_history_view,
    aggregate_views,
    client_views,
    global_models_view,
    history_views,
    model_view,
    outputs_view,
    summed_client_views,
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
        *aggregate_history_view(transcript, observer, *drawn.pooled),
        *summed_client_views(transcript, observer, rounds),
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


@pytest.mark.parametrize(("configured", "told"), [(0, 12), (5, 5), (50, 12)])
def test_the_batch_size_told_is_never_more_than_a_client_holds(configured, told):
    transcript = train(job(batch_size=configured), seed=0, record=[0])
    for view, truth in update_views(transcript, SERVER, [0]):
        assert view.fact(BatchSize).value == told == len(truth.rows)


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


def test_client_views_show_several_rounds_and_their_distinct_records():
    transcript = train(job(rounds=6, n=6, cohort=3), seed=0, record=range(6))
    pairs = client_views(transcript, WIRE, [1, 2, 3])
    assert [v.client for v, _ in pairs] == sorted(
        {c for r in (1, 2, 3) for c in _cohort(transcript, r)}
    )
    for view, truth in pairs:
        assert [r.round for r in view.rounds] == [1, 2, 3]
        assert view.rounds[2].updates is transcript.rounds[3].released
        used = [transcript.rounds[r].batches.get(view.client) for r in (1, 2, 3)]
        rows = [row for batch in used if batch for row in batch.rows.tolist()]
        assert truth.rows.tolist() == list(dict.fromkeys(rows))
        held = transcript.task.clients[view.client].train
        assert torch.equal(truth.inputs, held.inputs[truth.rows - 100 * view.client])
        assert not any(holds(view, x) for x in held.inputs)
    assert not client_views(transcript, Observer.PEER_CLIENT, [1])
    with pytest.raises(UsageError, match="round 6 was not recorded"):
        client_views(transcript, WIRE, [6])


def test_summed_client_views_show_sums_and_who_took_part_and_no_single_update():
    task = job(rounds=6, n=6, cohort=3)
    transcript = train(task, defenses=[SecretSum()], seed=0, record=range(6))
    withheld = replace(transcript.rounds[2], aggregate={})
    transcript = replace(transcript, rounds={**transcript.rounds, 2: withheld})
    pairs = summed_client_views(transcript, WIRE, [1, 2, 3])
    assert [v.client for v, _ in pairs] == sorted(
        {*_cohort(transcript, 1), *_cohort(transcript, 3)}
    )
    for view, truth in pairs:
        assert [r.round for r in view.rounds] == [1, 3]
        assert [r.cohort for r in view.rounds] == [
            tuple(sorted(_cohort(transcript, r))) for r in (1, 3)
        ]
        used = [transcript.rounds[r].batches.get(view.client) for r in (1, 3)]
        rows = [row for batch in used if batch for row in batch.rows.tolist()]
        assert truth.rows.tolist() == list(dict.fromkeys(rows))
        assert truth.cluster == f"0/1/{view.client}"
        assert not any(holds(view, x) for x in task.clients[view.client].train.inputs)
    assert not summed_client_views(transcript, Observer.PEER_CLIENT, [1])
    assert not summed_client_views(train(task, seed=0, record=[1]), SERVER, [1])


def _cohort(transcript, number):
    return list(transcript.rounds[number].released)


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


@pytest.mark.parametrize("batched", [False, True])
def test_a_layer_that_remembers_its_inputs_is_handed_out_clean(batched):
    class Remembers(nn.Module):
        def forward(self, x):
            self.last = x
            return x

    task = job(lambda: nn.Sequential(Remembers(), *mlp()), clients=8)
    transcript = train(task, seed=0, record=[0], batched=batched)
    for view, _ in [*update_views(transcript, SERVER, [0]), *_all_views(transcript, SERVER)]:
        if hasattr(view, "model"):
            assert not hasattr(view.model[0], "last")


def test_auxiliary_data_is_disjoint_from_the_targets():
    task = job()
    mixed = replace(task.auxiliary, rows=torch.tensor([0, 1, 50, 20_000, 20_001, 101, 9]))
    task = replace(task, auxiliary=mixed)
    transcript = train(task, seed=0, record=[0])
    (view, _), *_ = update_views(transcript, SERVER, [0])
    assert torch.equal(view.fact(AuxiliaryData).inputs, mixed.inputs[3:5])
    assert not holds(view, mixed.inputs[0])


def test_aggregates_of_several_rounds_are_seen_where_single_updates_are_not():
    task = job(clients=3)
    drawn = candidates(task, torch_rng(0, "candidates")).pooled
    open_ = train(task, seed=0, record=[0, 2])
    assert not aggregate_history_view(open_, SERVER, *drawn)
    transcript = train(task, defenses=[SecretSum()], seed=0, record=[0, 2])
    assert not aggregate_history_view(transcript, Observer.PEER_CLIENT, *drawn)
    ((view, truth),) = aggregate_history_view(transcript, SERVER, *drawn)
    assert [r.round for r in view.rounds] == [0, 2]
    for seen in view.rounds:
        record = transcript.rounds[seen.round]
        assert all(torch.equal(record.state[n], v) for n, v in seen.state.items())
        for name, value in seen.aggregate.items():
            mean = sum(record.released[c][name] for c in range(3)) / 3
            assert torch.allclose(value, mean, atol=1e-6)
    assert torch.equal(truth.member, drawn[1])
