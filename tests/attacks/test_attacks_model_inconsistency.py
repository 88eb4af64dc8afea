"""One client's update out of a sum of eight, by sending the others dead models."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from attack_scores import hit_rate
from attack_views import (
    aggregate_view,
    auxiliary,
    digits,
    knowledge,
    lenet,
    mlp,
    rng,
    seeded,
    trained_mlp,
    update_of,
    view_of,
)
from torch import Tensor, nn

from seepage.attacks.inversion.active.model_inconsistency import ModelInconsistency, single_update
from seepage.core.errors import NotApplicableError, UsageError
from seepage.core.threat import Observer
from seepage.core.views import AggregateView, BatchSize
from seepage.defenses.cards import CARDS
from seepage.metrics.reconstruction import identified
from seepage.models.convnet import ConvNet
from seepage.models.resnet import ResNet20

X, Y = digits()
CLIENTS, BATCH = 8, 4
SUMMED = next(card for card in CARDS if card.name == "secure-aggregation")
ROWS = torch.arange(CLIENTS * BATCH).view(CLIENTS, BATCH)


def with_buffers(model: nn.Module, *batches: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
    """An update with the float buffers that travel along: they count up as clients train."""
    update = update_of(model, *batches)
    buffers = {n: b for n, b in model.named_buffers() if b.is_floating_point()}
    return {**update, **{name: torch.ones_like(value) for name, value in buffers.items()}}


def a_round(
    model: nn.Module, attack: ModelInconsistency, *, steps: int = 1
) -> tuple[list[dict[str, Tensor]], AggregateView]:
    """The updates of all clients under the attack's move, and the view of their mean."""
    facts = BatchSize(BATCH), auxiliary()
    job: dict[str, Any] = {"defenses": (SUMMED,), "local_steps": steps}
    told = knowledge(model, *facts, cohort=tuple(range(CLIENTS)), **job)
    sent = dict(attack.act(told, rng()).models)
    batches = [[(X[rows], Y[rows])] * steps for rows in ROWS]
    updates = [with_buffers(sent[c], *batches[c]) for c in range(CLIENTS)]
    most = sent[0] if attack.target != 0 else sent[1]
    job["observer"] = Observer.MALICIOUS_SERVER
    return updates, aggregate_view(most, updates, *facts, sent=sent, **job)


MODELS = {
    "mlp": lambda: mlp(64),
    "trained": lambda: trained_mlp(64),
    "sigmoid": lambda: mlp(64, nn.Sigmoid),
    "tanh": lambda: mlp(64, nn.Tanh),
    "gelu": lambda: mlp(64, nn.GELU),
    "leaky": lambda: mlp(64, nn.LeakyReLU),
    "lenet": lenet,
    "batch-norm": lambda: seeded(lambda: ConvNet(width=4)((1, 8, 8), 10)),
    "group-norm": lambda: seeded(lambda: ConvNet(norm="group", width=4)((1, 8, 8), 10)),
    "resnet": lambda: seeded(lambda: ResNet20()((1, 8, 8), 10)),
}


@pytest.mark.parametrize("kind", MODELS)
def test_all_of_one_clients_gradient_but_the_last_bias_comes_out_of_the_sum(kind: str):
    model = MODELS[kind]()
    updates, view = a_round(model, ModelInconsistency(target=3))
    client, found = single_update(view)
    assert client == 3
    names = [name for name, _ in model.named_parameters()]
    assert list(found) == names[:-1]
    for name, value in found.items():
        true = updates[3][name]
        assert float((value - true).norm()) <= 1e-5 * float(true.norm())
        # The sum itself is another thing, and so is any other client's update.
        assert float((value - updates[2][name]).norm()) > 0.1 * float(true.norm())


def test_dead_clients_stay_dead_over_local_steps():
    updates, view = a_round(mlp(64), ModelInconsistency(target=0), steps=3)
    client, found = single_update(view)
    assert client == 0
    for name, value in found.items():
        torch.testing.assert_close(value, updates[0][name], atol=1e-7, rtol=1e-5)


def test_the_singled_out_client_is_inverted_exactly():
    _, view = a_round(trained_mlp(256), ModelInconsistency(target=5))
    claim = ModelInconsistency(target=5)(view, rng())
    originals = X[ROWS[5]]
    assert claim.solved
    assert "client 5" in claim.explanation
    distances = (claim.inputs[:, None] - originals[None]).flatten(2).square().mean(2)
    assert bool((distances.amin(0) < 1e-6).all())


def test_convolutions_are_inverted_by_search():
    _, view = a_round(lenet(), ModelInconsistency(target=2))
    claim = ModelInconsistency()(view, rng())
    originals = X[ROWS[2]]
    assert hit_rate(claim.inputs, originals) >= 0.75


def test_without_a_target_it_is_one_of_the_cohort_by_the_generator():
    told = knowledge(mlp(16), cohort=(1, 4, 6), defenses=(SUMMED,))
    chosen = set()
    for seed in range(12):
        models = ModelInconsistency().act(told, rng(seed)).models
        assert models.keys() == {1, 4, 6}
        chosen |= {c for c, m in models.items() if m is told.model}
    assert chosen == {1, 4, 6}
    with pytest.raises(NotApplicableError, match="client 2"):
        ModelInconsistency(target=2).act(told, rng())
    # One layer alone: its gradient is never 0, whatever its weights.
    single = replace(told, model=nn.Sequential(nn.Flatten(), nn.Linear(64, 10)))
    with pytest.raises(NotApplicableError, match="no layer"):
        ModelInconsistency().act(single, rng())


def test_what_can_not_be_read_off_is_said():
    _, view = a_round(mlp(64), ModelInconsistency(target=3))
    with pytest.raises(NotApplicableError, match="same model"):
        single_update(replace(view, sent={}))
    alike = dict.fromkeys(range(CLIENTS), mlp(64))
    with pytest.raises(NotApplicableError, match="one client alone"):
        single_update(replace(view, sent=alike))
    # Half of the clients were sent nothing odd: they train on the model that most got.
    with pytest.raises(NotApplicableError, match="one client alone"):
        single_update(replace(view, sent={3: view.sent[3]}, model=mlp(64)))
    refused = ModelInconsistency()(replace(view, aggregate={}), rng())
    silent = {name: torch.zeros_like(value) for name, value in view.aggregate.items()}
    absent = ModelInconsistency()(replace(view, aggregate=silent), rng())
    for claim in (refused, absent):
        assert len(claim.inputs) == 0
        assert not claim.solved
    assert "no sum" in refused.explanation
    assert "client 3" in absent.explanation
    with pytest.raises(UsageError, match="single update"):
        ModelInconsistency(inner="fed-mia")(view, rng())


def test_where_single_updates_are_seen_it_sends_honest_models_and_reads_those():
    model = trained_mlp(256)
    assert not ModelInconsistency().act(knowledge(model, cohort=(0, 1)), rng()).models
    view = view_of(model, ROWS[0])
    found = ModelInconsistency()(view, rng())
    assert found.solved
    assert bool(identified(found.inputs, X[ROWS[0]], X).all())
