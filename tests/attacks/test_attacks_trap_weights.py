"""First layers whose neurons fire for few records, and convolutions that let them see."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from attack_scores import quality
from attack_views import (
    auxiliary,
    digits,
    draw,
    job,
    lenet,
    mlp,
    moved,
    rng,
    seeded,
    seen,
    trained_mlp,
    update_of,
)
from torch import Tensor, nn

from seepage.attacks.inversion.active.passage import open_passage, passage
from seepage.attacks.inversion.active.trap_weights import TrapWeights
from seepage.attacks.inversion.exact.fully_connected import FullyConnected
from seepage.core.errors import NotApplicableError, UsageError
from seepage.core.views import BatchSize
from seepage.metrics.matching import match

X, Y = digits()


def trapped(attack: TrapWeights, model: nn.Module, batch: int, **more: Any) -> Any:
    """What the attack sends to clients with batches of this size."""
    return moved(attack, model, auxiliary(), BatchSize(batch), **more)


def exact(found: Tensor, originals: Tensor) -> int:
    return int((quality(found, originals) > 50).sum())


def deep(stride: int, channels: int) -> nn.Module:
    def build() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(1, channels, 3, stride=stride, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(channels * (8 // stride) ** 2, 256),
            nn.ReLU(),
            nn.Linear(256, 10),
        )

    return seeded(build)


def test_a_neuron_fires_for_about_one_record_of_the_batch():
    for batch in (8, 64):
        sent = trapped(TrapWeights(), mlp(512), batch)
        fires = (sent[1](X[:800].flatten(1)) > 0).double().mean()
        assert 0.6 / batch < float(fires) < 1.6 / batch
    layer = trapped(TrapWeights(scaling=0.5), mlp(64), 8)[1]
    negative = layer.weight < 0
    assert negative.sum(1).tolist() == [32] * 64
    weight = layer.weight.detach()
    ratio = -weight[~negative].mean() / weight[negative].mean()
    assert abs(float(ratio) - 0.5) < 0.05
    assert not layer.bias.any()


@pytest.mark.parametrize("build", [lambda: mlp(256), lambda: trained_mlp(256)])
def test_traps_show_more_than_the_untouched_model_and_subtraction_more_yet(build: Any):
    counts = dict.fromkeys(("passive", "paper", "subtracting"), 0)
    for seed in range(3):
        index = draw(seed, 24)
        passive = FullyConnected(largest_search=0, refits=0)(seen(build(), index), rng())
        counts["passive"] += exact(passive.inputs, X[index])
        sent = trapped(TrapWeights(), build(), 24)
        for name, attack in (
            ("paper", TrapWeights(subtract=False)),
            ("subtracting", TrapWeights()),
        ):
            found = attack(seen(sent, index), torch.Generator())
            right = exact(found.inputs, X[index])
            assert right == len(found.inputs)
            assert found.solved == (right == 24)
            counts[name] += right
            if found.labels is not None:
                for i, j in match(found.inputs, X[index]):
                    assert found.labels[i] == Y[index][j]
    assert counts["passive"] + 10 < counts["paper"] < counts["subtracting"]


def test_a_secure_sum_of_four_clients_is_a_larger_batch():
    sent = trapped(TrapWeights(), mlp(512), 4, clients=4)
    batches = [draw(c, 4) for c in range(4)]
    found = TrapWeights()(seen(sent, *batches), torch.Generator())
    assert exact(found.inputs, X[torch.cat(batches)]) >= 14


def test_convolutions_pass_a_record_on_also_through_a_stride():
    for model in (deep(1, 1), deep(2, 4)):
        sent = trapped(TrapWeights(), model, 8)
        way = passage(sent, job())
        inner = sent[:5](X[:7])
        torch.testing.assert_close(inner[:, way.positions].view(7, 1, 8, 8), X[:7])
        index = draw(1, 8)
        found = TrapWeights()(seen(sent, index), torch.Generator())
        assert exact(found.inputs, X[index]) == len(found.inputs) >= 6


def test_negative_values_are_lifted_over_the_relu():
    centered, changes = 2 * X - 1, {"value_range": (-1.0, 1.0)}
    model = deep(2, 4)
    open_passage(model, job(**changes))
    way = passage(model, job(**changes))
    assert way.offset == 1
    torch.testing.assert_close(
        model[:5](centered[:3])[:, way.positions].view(3, 1, 8, 8), centered[:3] + 1
    )
    gradient = update_of(model, (centered[:1], Y[:1]), lr=1.0)
    rows = way.joined(gradient)
    rows = rows[rows[:, -1].abs() > 1e-6]
    torch.testing.assert_close(
        way.records(rows), centered[:1].expand(len(rows), -1, -1, -1), atol=1e-3, rtol=0
    )


def test_it_refuses_where_pixels_are_lost_or_nothing_keeps_records_apart():
    with pytest.raises(NotApplicableError, match="stride 2x2 over 1 channels loses pixels: 3"):
        trapped(TrapWeights(), deep(2, 3), 8)
    with pytest.raises(NotApplicableError, match="no ReLU behind"):
        trapped(TrapWeights(), lenet(), 8)
    normalized = deep(1, 1)
    normalized[1] = nn.BatchNorm2d(1)
    with pytest.raises(NotApplicableError, match="1 is a BatchNorm2d"):
        trapped(TrapWeights(), normalized, 8)
    with pytest.raises(NotApplicableError, match="no ReLU"):
        trapped(TrapWeights(), mlp(32, nn.Sigmoid), 8)
    with pytest.raises(UsageError, match="scaling is 1"):
        TrapWeights(scaling=1.0)
    narrow = trapped(TrapWeights(scaling=0.999), mlp(2), 64)
    found = TrapWeights()(seen(narrow, draw(0, 64)), torch.Generator())
    assert not found.solved
    assert "too few neurons" in found.explanation
