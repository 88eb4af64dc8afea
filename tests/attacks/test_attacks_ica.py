from __future__ import annotations

import pytest
import torch
from attack_scores import hit_rate, matched
from attack_views import digits, draw, lenet, mlp, rng, seeded, update_of, update_view, view_of
from torch import nn

from seepage.attacks.inversion.exact.ica import ICA
from seepage.core.errors import NotApplicableError
from seepage.core.views import BatchSize
from seepage.metrics.reconstruction import psnr

X, Y = digits()


def attacked(view, **settings):
    return ICA(**settings)(view, rng())


def long_records_net(act: type[nn.Module], gain: float = 1.0) -> nn.Module:
    net = seeded(
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(512, 128), act(), nn.Linear(128, 10))
    )
    # Where an activation is almost linear only the 10 classes tell records apart, and all but
    # ten directions of the gradient are rounding, which differs by machine.
    with torch.no_grad():
        net[1].weight.mul_(gain)
    return net


def sources(count: int, values: int = 512) -> torch.Tensor:
    """Independent sparse records `[count, values]` in 0..1."""
    order = rng(count)
    x = torch.rand(count, values, generator=order)
    return x * (torch.rand(count, values, generator=order) < 0.1)


@pytest.mark.parametrize(("act", "gain"), [(nn.Tanh, 2.0), (nn.ReLU, 1.0)])
def test_independent_sources_come_back_with_sign_and_scale(act, gain):
    """What the method assumes: then any activation will do, and the bias gives the scale."""
    x, y = sources(16), torch.arange(16) % 10
    model = long_records_net(act, gain)
    view = update_view(model, update_of(model, (x, y)), BatchSize(16), input_shape=(512,))
    claim = attacked(view)
    assert float(psnr(*matched(claim.inputs, x)).min()) >= 20
    assert claim.inputs.shape == (16, 512)
    assert not claim.solved


def test_gaussian_sources_can_not_be_unmixed():
    """The null of the method: no direction of Gaussian sources is less Gaussian."""
    x = (0.5 + 0.15 * torch.randn(16, 512, generator=rng())).clamp(0, 1)
    model = long_records_net(nn.Tanh)
    y = torch.arange(16) % 10
    view = update_view(model, update_of(model, (x, y)), BatchSize(16), input_shape=(512,))
    claim = attacked(view)
    assert float(psnr(*matched(claim.inputs, x)).median()) < 20
    assert not claim.solved


def test_one_record_is_exact_and_proved():
    claim = attacked(view_of(mlp(64), draw(0, 1)))
    assert float(psnr(claim.inputs, X[draw(0, 1)])) >= 60
    assert claim.solved


def test_small_digits_are_told_from_others_more_often_than_by_chance():
    hits = 0.0
    for seed in range(4):
        index = draw(seed, 8)
        claim = attacked(view_of(mlp(256), index))
        hits += hit_rate(claim.inputs, X[index])
        assert not claim.solved
    assert hits / 4 > 0.1


def test_what_it_can_not_unmix_it_refuses_or_names():
    index = draw(0, 20)
    claim = attacked(view_of(mlp(64), index), largest=8)
    assert len(claim.inputs) == 0
    assert not claim.solved
    assert "largest=8" in claim.explanation
    narrow = attacked(view_of(mlp(16), index))
    assert len(narrow.inputs) == 0
    assert "width 16" in narrow.explanation
    with pytest.raises(NotApplicableError):
        attacked(update_view(lenet(), {n: p.detach() for n, p in lenet().named_parameters()}))


def test_without_a_bias_it_says_that_sign_and_scale_are_guesses():
    claim = attacked(view_of(mlp(64, bias=False), draw(0, 2)))
    assert "sign and scale" in claim.explanation
    assert not claim.solved
