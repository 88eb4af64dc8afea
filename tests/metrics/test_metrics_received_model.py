"""What a client could notice in the model that it was sent."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from seepage.metrics.received_model import (
    d_snr,
    parallel_rows,
    parameter_distance,
    silent_neurons,
)


def net(width: int = 32) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(40, width), nn.ReLU(), nn.Linear(width, 5))


X = torch.rand(8, 40, generator=torch.Generator().manual_seed(1))
Y = torch.arange(8) % 5


def test_the_distance_is_relative_to_the_model_before():
    before, sent = net(), net()
    with torch.no_grad():
        for p in sent.parameters():
            p.mul_(1.5)
    assert parameter_distance(sent, before) == pytest.approx(0.5)


def test_copies_of_one_record_share_the_gradient_evenly():
    same = X[:1].expand(8, 40)
    assert d_snr(net(), F.cross_entropy, same, Y[:1].expand(8)) == pytest.approx(1 / 7)


def test_a_record_that_alone_has_a_gradient_stands_out():
    model = net()
    with torch.no_grad():
        model[1].weight.zero_()[:, 0] = 1.0
        model[1].bias.fill_(-0.5)
        inputs = X.clone()
        inputs[:, 0] = 0.0
        inputs[3, 0] = 1.0
    assert d_snr(model, F.cross_entropy, inputs, Y) > 1e6
    assert d_snr(net(), F.cross_entropy, X, Y) < 0.5


def test_an_imprint_has_parallel_rows_and_a_dead_layer_is_silent():
    model = net()
    assert parallel_rows(model) == 0.0
    assert silent_neurons(model, X) < 0.9
    with torch.no_grad():
        model[1].weight.copy_(model[1].weight[:1].expand(32, 40))
    assert parallel_rows(model) == 1.0
    with torch.no_grad():
        model[1].bias.fill_(-1e3)
    assert silent_neurons(model, X) == 1.0
    assert math.isnan(silent_neurons(nn.Linear(40, 5), X))
