"""Laplace noise, and where noise comes from."""

from __future__ import annotations

from math import inf, sqrt

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from release_tests import RARE
from scipy.stats import kstest, laplace

from seepage.accounting.laplace import Laplace
from seepage.accounting.record import mechanism_of
from seepage.core.errors import RefusedError, UsageError
from seepage.core.privacy import Exposure
from seepage.core.seeds import torch_rng
from seepage.defenses.api import DPFTRL, CentralDP, DistributedDP, LocalDP, RandomizedResponse
from seepage.defenses.dp.laplace_noise import clip_l1
from seepage.defenses.dp.noise_source import as_deployed, deployed_rng

EXPOSURE = Exposure(rounds=4, local_steps=3, batch_size=4, examples=100, clients=8, cohort=8)


def test_laplace_noise_has_its_scale_on_every_tensor_also_without_an_axis() -> None:
    defense = LocalDP(noise="laplace", noise_multiplier=0.5, max_norm=3.0)
    update = {"w": torch.full((100, 100), 1.0), "shift": torch.tensor(7.0)}
    clipped = clip_l1(update, 3.0)
    noise = defense.protect_update(update, torch_rng(0))["w"] - clipped["w"]
    assert kstest(noise.flatten().numpy(), laplace(scale=1.5).cdf).pvalue > RARE
    assert kstest(noise.flatten().numpy(), laplace(scale=1.8).cdf).pvalue < RARE
    shifts = torch.stack(
        [defense.protect_update(update, torch_rng(i))["shift"] for i in range(500)]
    )
    assert kstest((shifts - clipped["shift"]).numpy(), laplace(scale=1.5).cdf).pvalue > RARE
    with pytest.raises(RefusedError, match="NaN"):
        defense.protect_update({"w": torch.tensor([1.0, torch.nan])}, torch_rng(0))
    with pytest.raises(RefusedError, match="overflows"):
        defense.protect_update({"w": torch.full((9,), 1e308, dtype=torch.float64)}, torch_rng(0))


@settings(deadline=None)
@given(
    scale=st.floats(1e-3, 1e30),
    max_norm=st.floats(0.01, 100),
    dtype=st.sampled_from([torch.float16, torch.float32, torch.float64]),
)
def test_the_l1_norm_is_never_exceeded(scale: float, max_norm: float, dtype: torch.dtype) -> None:
    scale = min(scale, 1000.0) if dtype == torch.float16 else scale
    rng = torch_rng(1)
    update = {
        n: (scale * torch.randn(s, generator=rng)).to(dtype) for n, s in (("a", 40), ("b", ()))
    }
    clipped = clip_l1(update, max_norm)
    norms = [sum(float(t.double().abs().sum()) for t in u.values()) for u in (update, clipped)]
    assert norms[1] <= max_norm
    if dtype != torch.float16:
        assert norms[1] == pytest.approx(min(max_norm, norms[0]), rel=1e-5)


def test_the_laplace_record_is_of_replaced_data() -> None:
    defense = LocalDP(noise="laplace", noise_multiplier=8.0)
    (record,) = defense.privacy(EXPOSURE)
    assert (record.unit, record.adjacency, record.releases) == ("client", "replace", 4)
    assert mechanism_of(record) == Laplace(noise_multiplier=8.0, releases=4, adjacency="replace")
    assert record.per_release_epsilon == pytest.approx(2 / 8.0, rel=1e-4)
    assert record.total_epsilon <= 4 * 2 / 8.0 + 1e-2
    assert "L1 norm 1" in record.mechanism
    # Claims of two kinds of noise differ, so the kind is not lost on the way to the profile.
    assert defense.profile(EXPOSURE).information_bits < inf
    assert LocalDP(noise_multiplier=8.0).privacy(EXPOSURE)[0].mu == pytest.approx(2 / 8 * sqrt(4))
    with pytest.raises(UsageError, match="noise is"):
        LocalDP(noise="laplacian")


@pytest.mark.parametrize(
    ("defense", "drawn"),
    [
        (LocalDP(), "floating-point"),
        (LocalDP(noise="laplace"), "floating-point"),
        (CentralDP(), "floating-point"),
        (DPFTRL(), "floating-point"),
        (DistributedDP(), "exact integers"),
        (RandomizedResponse(), "exact integers"),
    ],
    ids=lambda value: getattr(value, "noise", "") or type(value).__name__,
)
def test_records_say_how_the_noise_is_drawn_and_where_it_comes_from(defense, drawn) -> None:
    records = defense.privacy(EXPOSURE)
    for record in records:
        assert drawn in record.mechanism
        assert record.noise == "simulated"
    assert {record.noise for record in as_deployed(records)} == {"operating-system"}


def test_a_deployment_takes_no_seed_and_its_whole_state_is_fresh() -> None:
    with pytest.raises(UsageError, match="takes no seed"):
        deployed_rng(seed=0)
    one, other = deployed_rng(), deployed_rng()
    words = [rng.get_state()[24 : 24 + 8 * 624].view(624, 8)[:, :4] for rng in (one, other)]
    # 2,496 bytes agree by chance in one of 256.
    assert float((words[0] == words[1]).double().mean()) < 0.05
    draws = torch.randn(100_000, generator=one)
    assert kstest(draws.numpy(), "norm").pvalue > RARE
    assert not torch.equal(draws, torch.randn(100_000, generator=other))
    late = deployed_rng()
    again = torch.Generator()
    again.set_state(late.get_state())
    assert torch.equal(torch.rand(2000, generator=late), torch.rand(2000, generator=again))


def test_every_word_of_the_state_matters_where_a_seed_has_32_bits() -> None:
    seeded = [torch.Generator().manual_seed(seed) for seed in (1, 1 + 2**32)]
    assert torch.equal(*(torch.rand(9, generator=g) for g in seeded))
    state = deployed_rng().get_state()
    plain = torch.Generator()
    plain.set_state(state)
    expected = torch.randint(2**62, (2000,), generator=plain)
    for word in (1, 300, 623):
        changed = state.clone()
        changed[24 + 8 * word] ^= 1
        generator = torch.Generator()
        generator.set_state(changed)
        assert not torch.equal(torch.randint(2**62, (2000,), generator=generator), expected)
