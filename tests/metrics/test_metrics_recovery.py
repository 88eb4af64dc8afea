from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_diabetes
from sklearn.metrics import roc_auc_score
from torch import Tensor

from reproducible import digits as all_digits
from reproducible import rng
from seepage.core.errors import DataError
from seepage.core.intervals import Difference, Rate
from seepage.metrics.features import FeatureSpace
from seepage.metrics.matching import match
from seepage.metrics.reconstruction import psnr
from seepage.metrics.recovery import of_originals, recovered, recovery_curve, recovery_gain


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    return all_digits()


@pytest.fixture(scope="module")
def space(digits: tuple[Tensor, Tensor]) -> FeatureSpace:
    return FeatureSpace.fit(digits[0][800:], digits[1][800:], rng(), steps=150)


def test_what_the_prior_recovers_is_no_leakage() -> None:
    x = torch.rand(40, 1, 8, 8, generator=rng())
    noise = torch.randn(x.shape, generator=rng(1))
    noise = noise / noise.square().mean((1, 2, 3), keepdim=True).sqrt()
    level = torch.full((40, 1, 1, 1), 0.03)
    level[30:] = 0.3
    values = psnr(x + level * noise, x)  # 30.5 dB, and 10.5 dB for ten of them
    prior = psnr(torch.full_like(x, 0.5), x)  # the variance of a uniform value: 10.8 dB
    assert recovered(values, 20.0).sum() == 30
    assert recovery_gain(values, 20.0, prior) == pytest.approx(0.75)
    assert recovery_gain(prior, 8.0, prior) == 0
    curve = recovery_curve(values, [5.0, 20.0, 40.0], prior)
    assert curve.tolist() == pytest.approx([0.0, 0.75, 0.0])
    units = [recovered(v, 20.0).double().numpy() for v in (values, prior)]
    gain = Difference(*(Rate(u) for u in units))
    assert gain.value == pytest.approx(0.75)
    low, high = gain.interval()
    assert 0.5 < low < 0.75 < high < 0.95


def test_originals_that_did_not_come_back_are_not_recovered() -> None:
    x = torch.eye(4)
    claimed = x[[3, 1]]
    pairs = match(claimed, x)
    i, j = (list(column) for column in zip(*pairs, strict=True))
    values = of_originals(psnr(claimed[i], x[j]), pairs, len(x))
    assert recovered(values, 60.0).tolist() == [False, True, False, True]


def test_features_tell_what_pixels_do_not(digits, space: FeatureSpace) -> None:
    x, y = digits[0][:400], digits[1][:400]
    same = (y[:200] == y[200:]).numpy()
    features = space.distance(x[:200], x[200:]).numpy()
    pixels = (x[:200] - x[200:]).square().mean((1, 2, 3)).numpy()
    assert roc_auc_score(same, -features) > 0.95
    assert roc_auc_score(same, -features) > roc_auc_score(same, -pixels)
    assert abs(np.mean(features[~same]) - 1) < 0.2


def test_feature_distances_grow_with_distortion(digits, space: FeatureSpace) -> None:
    x = digits[0][:100]
    noise = torch.randn(x.shape, generator=rng(2))
    means = [float(space.distance(x + s * noise, x).mean()) for s in (0.0, 0.1, 0.3, 1.0)]
    assert means[0] == pytest.approx(0, abs=1e-6)
    assert means == sorted(means)
    assert means[1] < 0.1
    assert means[3] > 0.3
    assert space.distance(torch.full_like(x[:1], torch.nan), x[:1]).tolist() == [2.0]


def test_a_space_depends_on_its_generator_alone(digits) -> None:
    x, y = digits[0][:64], digits[1][:64]
    before = torch.random.get_rng_state()
    first, again, other = (FeatureSpace.fit(x, y, rng(s), steps=5).features(x) for s in (1, 1, 2))
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not first.requires_grad


def test_tables_and_regression_have_a_space() -> None:
    source = load_diabetes()
    x = torch.from_numpy(source["data"]).float()
    y = torch.from_numpy(source["target"]).float()
    space = FeatureSpace.fit(x[:300], y[:300], rng())
    near = (y[300:371] - y[371:442]).abs()
    apart = space.distance(x[300:371], x[371:442])
    # Patients whose outcomes differ more lie farther apart: the space learned the outcome.
    assert float(torch.corrcoef(torch.stack([near.double(), apart]))[0, 1]) > 0.2
    with pytest.raises(DataError, match="two or more records"):
        FeatureSpace.fit(x[:1], y[:1], rng())
