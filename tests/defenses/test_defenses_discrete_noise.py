"""Discrete noise against its exact probabilities; each test fails a sound sampler once in 1e6."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from seepage.core.errors import UsageError
from seepage.core.intervals import clopper_pearson
from seepage.core.seeds import torch_rng
from seepage.defenses.dp.discrete_noise import (
    LARGEST_DEVIATION,
    bernoulli_exp,
    discrete_gaussian,
    discrete_laplace,
    uniform_below,
)

RARE = 1e-6
COUNT = 200_000


def fits(drawn: torch.Tensor, weights: dict[int, float]) -> bool:
    """Chi-square test of integers against weights; rare values are counted together."""
    total = sum(weights.values())
    expected = {k: len(drawn) * w / total for k, w in weights.items()}
    common = sorted(k for k, e in expected.items() if e >= 10)
    seen = [int((drawn == k).sum()) for k in common]
    rest = len(drawn) - sum(expected[k] for k in common)
    counts, hoped = [*seen, len(drawn) - sum(seen)], [*(expected[k] for k in common), rest]
    if rest < 1e-9:
        assert counts.pop() == 0
        hoped.pop()
    return chisquare(counts, hoped, sum_check=False).pvalue > RARE


@pytest.mark.parametrize("deviation", [1, 2, 7, 40])
def test_the_discrete_gaussian_has_the_exact_probabilities(deviation: int) -> None:
    drawn = discrete_gaussian(COUNT, deviation, torch_rng(deviation))
    k = np.arange(-40 * deviation, 40 * deviation + 1)
    weights = np.exp(-(k**2) / (2 * deviation**2))
    assert fits(drawn, dict(zip(k.tolist(), weights.tolist(), strict=True)))
    # A sampler of a neighboring deviation, or a rounded continuous one, is told apart.
    off = np.exp(-(k**2) / (2 * (deviation * 1.03) ** 2))
    assert not fits(drawn, dict(zip(k.tolist(), off.tolist(), strict=True)))


def test_rounded_continuous_noise_is_no_discrete_gaussian() -> None:
    drawn = torch.randn(COUNT, generator=torch_rng(0), dtype=torch.float64).round().long()
    assert not fits(drawn, {k: float(np.exp(-(k**2) / 2)) for k in range(-40, 41)})


@pytest.mark.parametrize("scale", [1, 3])
def test_the_discrete_laplace_has_the_exact_probabilities(scale: int) -> None:
    drawn = discrete_laplace(COUNT, scale, torch_rng(scale))
    assert fits(drawn, {k: float(np.exp(-abs(k) / scale)) for k in range(-200, 201)})


@pytest.mark.parametrize("fraction", [(0, 1), (1, 3), (1, 1), (5, 2), (7, 1)])
def test_bernoulli_of_an_exponential(fraction: tuple[int, int]) -> None:
    numerators, denominators = (torch.full((COUNT,), part) for part in fraction)
    hits = int(bernoulli_exp(numerators, denominators, torch_rng(*fraction)).sum())
    low, high = clopper_pearson(hits, COUNT, 1 - RARE)
    assert low <= np.exp(-fraction[0] / fraction[1]) <= high


def test_uniform_integers_have_no_bias_of_the_modulus() -> None:
    # 2^62 words on 3 * 2^60 values: by remainders alone the lowest third would come twice as often.
    drawn = uniform_below(torch.full((COUNT,), 3 * 2**60), torch_rng(0))
    low, high = clopper_pearson(int((drawn < 2**60).sum()), COUNT, 1 - RARE)
    assert low <= 1 / 3 <= high
    assert fits(uniform_below(torch.full((COUNT,), 7), torch_rng(1)), dict.fromkeys(range(7), 1.0))


@settings(deadline=None, max_examples=30)
@given(deviation=st.integers(1, LARGEST_DEVIATION), seed=st.integers(0, 2**31))
def test_large_deviations_do_not_overflow(deviation: int, seed: int) -> None:
    drawn = discrete_gaussian(2000, deviation, torch_rng(seed)).double() / deviation
    assert len(drawn) == 2000
    # Chi-square with 2,000 degrees of freedom, within five or more of its deviations; at a
    # deviation of 1 the discrete variance is within 1e-7 of 1.
    assert 0.8 < float(drawn.square().mean()) < 1.25
    assert abs(float(drawn.mean())) < 0.15


def test_no_noise_an_empty_draw_and_what_is_refused() -> None:
    assert not discrete_gaussian(5, 0, torch_rng(0)).any()
    assert discrete_gaussian(0, 3, torch_rng(0)).shape == (0,)
    for deviation in (-1, LARGEST_DEVIATION + 1):
        with pytest.raises(UsageError, match="deviation"):
            discrete_gaussian(1, deviation, torch_rng(0))
    one, same, other = (discrete_gaussian(99, 50, torch_rng(seed)) for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
