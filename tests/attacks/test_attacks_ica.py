from __future__ import annotations

import pytest
import torch
from attack_views import digits, draw, gallery, lenet, mlp, update_of, update_view, view_of
from torch import nn

from seepage.attacks.inversion.exact.ica import ICA
from seepage.core.errors import NotApplicableError
from seepage.core.views import BatchSize
from seepage.metrics.matching import match
from seepage.metrics.reconstruction import identified, psnr

X, Y = digits()


def attacked(view, **settings):
    return ICA(**settings)(view, torch.Generator().manual_seed(0))


def sources(count: int, values: int = 512) -> torch.Tensor:
    """Independent sparse records `[count, values]` in 0..1."""
    rng = torch.Generator().manual_seed(count)
    x = torch.rand(count, values, generator=rng)
    return x * (torch.rand(count, values, generator=rng) < 0.1)


@pytest.mark.parametrize("act", [nn.Tanh, nn.ReLU])
def test_independent_sources_come_back_with_sign_and_scale(act):
    """What the method assumes: then any activation will do, and the bias gives the scale."""
    x, y = sources(16), torch.arange(16) % 10
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(512, 128), act(), nn.Linear(128, 10))
    view = update_view(model, update_of(model, (x, y)), BatchSize(16), input_shape=(512,))
    claim = attacked(view)
    i, j = (list(column) for column in zip(*match(claim.inputs, x), strict=True))
    assert float(psnr(claim.inputs[i], x[j]).min()) >= 20
    assert claim.inputs.shape == (16, 512)
    assert not claim.solved


def test_gaussian_sources_can_not_be_unmixed():
    """The null of the method: no direction of Gaussian sources is less Gaussian."""
    rng = torch.Generator().manual_seed(0)
    x = (0.5 + 0.15 * torch.randn(16, 512, generator=rng)).clamp(0, 1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(512, 128), nn.Tanh(), nn.Linear(128, 10))
    y = torch.arange(16) % 10
    view = update_view(model, update_of(model, (x, y)), BatchSize(16), input_shape=(512,))
    claim = attacked(view)
    i, j = (list(column) for column in zip(*match(claim.inputs, x), strict=True))
    assert float(psnr(claim.inputs[i], x[j]).median()) < 20
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
        hits += float(identified(claim.inputs, X[index], gallery(X[index])).float().mean())
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
