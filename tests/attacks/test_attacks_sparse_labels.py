from __future__ import annotations

import math

import pytest
import torch
from attack_views import (
    auxiliary,
    defense_card,
    digits,
    draw,
    fitted,
    lenet,
    rng,
    top_k,
    update_of,
    update_view,
)

from seepage.attacks.attribute.labels import recover_labels
from seepage.attacks.attribute.sent_rows import logit_sums
from seepage.core.views import BatchSize, UpdateView
from seepage.metrics.attribute import multiset_hits

X, Y = digits()


def sparse_view(model, index, fraction: float) -> UpdateView:
    sent = top_k(update_of(model, (X[index], Y[index])), fraction)
    facts = BatchSize(len(index)), auxiliary()
    return update_view(model, sent, *facts, defenses=(defense_card("top-k"),))


@pytest.mark.parametrize(("fraction", "least"), [(0.1, 0.7), (0.03, 0.65)])
def test_labels_are_counted_under_top_k(fraction, least):
    """With unsent biases taken for zeros the rates are 0.66 and 0.53."""
    # In the midst of training, biases have small gradients.
    model = fitted(lenet(), X[800:], Y[800:], 30)
    found = 0
    for seed in range(20):
        index = draw(seed, 8)
        found += multiset_hits(recover_labels(sparse_view(model, index, fraction), 8), Y[index])
    assert found >= least * 160


def test_an_unsent_bias_is_read_off_the_weights_that_were_sent():
    features = torch.rand(1, 6, generator=rng())
    slopes = torch.tensor([[-0.8, 0.5, 0.3, 0.0]])
    weight, bias = slopes.T @ features, slopes[0].clone()
    bias[1] = 0.0
    weight[1, :4] = 0.0
    bias[2], weight[2] = 0.0, 0.0
    sums = logit_sums(weight, bias, features[0], 0.6)
    torch.testing.assert_close(sums.value, torch.tensor([-0.8, 0.5, 0.0, 0.0]))
    assert sums.variance[0] == 0
    assert sums.variance.tolist()[2:] == pytest.approx([0.12, 0.12])
    # The bound of what was not sent holds for the estimate as well.
    assert float(logit_sums(weight, bias, features[0], 0.2).value[1]) == pytest.approx(0.2)
    assert bool(logit_sums(weight, bias, features[0], math.inf).variance.isfinite().all())


def test_without_a_mask_the_bias_is_taken_as_it_is():
    weight, bias = torch.randn(3, 5), torch.tensor([0.4, 0.0, -0.4])
    sums = logit_sums(weight, bias, torch.ones(5), None)
    assert torch.equal(sums.value, bias)
    assert not sums.variance.any()
