"""Distributed noise: the sum is the sum, its bounds hold, and what can't be summed is refused."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from release_tests import RARE
from scipy.stats import chisquare
from torch import nn

from seepage.accounting.gaussian import epsilon_of
from seepage.accounting.record import mechanism_of
from seepage.core.errors import RefusedError, UsageError
from seepage.core.intervals import clopper_pearson
from seepage.core.privacy import Exposure
from seepage.core.seeds import torch_rng
from seepage.core.task import Training
from seepage.defenses.api import CentralDP, DistributedDP, LocalDP, SecureAggregation, TopK
from seepage.defenses.dp.bounding import clip

EXPOSURE = Exposure(rounds=16, local_steps=1, batch_size=4, examples=100, clients=8, cohort=8)


def updates(clients: int, d: int, *, seed: int = 0) -> list[dict[str, torch.Tensor]]:
    rng = torch_rng(seed, "updates")
    return [
        {"w": torch.randn(d - 1, generator=rng).view(1, -1), "shift": torch.tensor(1.5 - i)}
        for i in range(clients)
    ]


def summed(defense: DistributedDP, sent: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Return what the server makes of encoded updates, as the engine hands them to it."""
    counted = [defense.bound_update(u) for u in sent]
    mean = {n: sum(u[n] for u in counted) / len(sent) for n in sent[0]}
    return dict(defense.protect_aggregate(mean, len(sent), torch_rng(0)))


def sent_by(defense: DistributedDP, given: list[dict[str, torch.Tensor]]):
    return [dict(defense.protect_update(u, torch_rng(i, "c"))) for i, u in enumerate(given)]


@pytest.mark.parametrize("clients", [4, 9])
def test_the_mean_is_the_plain_mean_of_clipped_updates_within_the_noise(clients: int) -> None:
    defense = DistributedDP(
        noise_multiplier=0.6, max_norm=3.0, threshold=4, colluders=1, granularity=0.01
    )
    given = updates(clients, 10_001)
    found = summed(defense, sent_by(defense, given))
    clipped = [clip(u, 3.0) for u in given]
    for name in given[0]:
        assert found[name].shape == given[0][name].shape
    error = found["w"] - sum(u["w"].double() for u in clipped) / clients
    # Three honest clients alone must reach 0.6; rounding adds at most a quarter of a step squared.
    noise = clients * (defense.deviation * 0.01) ** 2
    assert noise >= clients / 3 * 0.6**2
    measured = float((error * clients / 3.0).square().mean())
    tolerance = 1 + 6 * sqrt(2 / 10_000)
    assert noise / tolerance < measured < (noise + clients * 0.01**2 / 4) * tolerance
    assert abs(float(error.mean())) < 6 * sqrt(measured / 10_000) * 3.0 / clients


def test_little_noise_leaves_the_sum_and_a_coarse_grid_is_unbiased() -> None:
    fine = DistributedDP(noise_multiplier=1e-6, granularity=2.0**-20)
    given = updates(5, 50)
    found = summed(fine, sent_by(fine, given))
    plain = sum(clip(u, 1.0)["w"] for u in given) / 5
    assert torch.allclose(found["w"], plain.double(), atol=1e-5)
    coarse = DistributedDP(noise_multiplier=0.0, granularity=0.25, dimension=4)
    flat = torch.tensor([0.1, -0.3, 0.05, 0.6], dtype=torch.float64)
    mean = torch.stack([coarse.rounded(flat, torch_rng(i)) for i in range(4000)]).double().mean(0)
    # The condition on the norm moves the mean a little, and never a whole step.
    assert torch.allclose(mean * 0.25, flat, atol=0.03)


@settings(deadline=None, max_examples=60)
@given(
    granularity=st.floats(0.001, 0.9),
    d=st.integers(1, 400),
    spread=st.sampled_from([1, 3, 400]),
    seed=st.integers(0, 2**31),
)
def test_no_rounded_update_is_longer_than_what_the_noise_is_made_for(
    granularity: float, d: int, spread: int, seed: int
) -> None:
    defense = DistributedDP(granularity=granularity, dimension=d)
    flat = torch.randn(d, generator=torch_rng(seed), dtype=torch.float64)
    flat[spread:] = 0
    clipped = clip({"w": flat}, 1.0)["w"]
    rounded = defense.rounded(clipped, torch_rng(seed, "round"))
    assert float((rounded - clipped / granularity).abs().max()) < 1
    longest = defense.released().rounded_norm / granularity
    assert float(rounded.double().norm()) <= longest + 1e-9


def test_a_sum_that_leaves_the_range_is_bounded_and_refused() -> None:
    push = {"w": torch.tensor([9.0])}
    # 7 bits of grid steps of 1/8: 20 clients who all push one coordinate reach 160 of +-64.
    narrow = DistributedDP(modulus_bits=7, granularity=1 / 8, dimension=1, threshold=2)
    assert narrow.released().wrap_probability(narrow.modulus, 20) == 1
    with pytest.raises(RefusedError, match=r"does not fit 7 bits.*change modulus_bits"):
        summed(narrow, sent_by(narrow, [push]) * 20)
    # Within reach, the bound holds for what really wraps.
    bound = narrow.released().wrap_probability(narrow.modulus, 5)
    assert 1e-6 < bound < 0.9
    wrapped = 0
    for i in range(300):
        sent = [
            narrow.protect_update({"w": torch.tensor([9.0])}, torch_rng(i, c)) for c in range(5)
        ]
        total = int(sum(u["w"] for u in sent)) % narrow.modulus
        centered = total - narrow.modulus if total >= narrow.modulus // 2 else total
        # The sum of five is 40 grid steps, give or take noise of 13: a wrap makes it negative.
        wrapped += centered < 0
    assert clopper_pearson(wrapped, 60, 1 - RARE)[0] <= bound
    wide = replace(narrow, modulus_bits=10)
    assert wide.released().wrap_probability(wide.modulus, 20) < 1e-6
    summed(wide, sent_by(wide, [push]) * 20)


def test_the_ideal_sum_tells_nothing_but_the_sum_and_one_update_alone_is_not_hidden() -> None:
    defense = DistributedDP(modulus_bits=16, granularity=1 / 64, threshold=2, dimension=20_000)
    one, two = sent_by(defense, updates(2, 20_000))
    mask = torch.randint(2**16, one["w"].shape, generator=torch_rng(3)).double()
    m = defense.modulus

    def masked(value: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
        shifted = (value + by) % m
        return torch.where(shifted == 0, m, shifted)

    hidden = [{**one, "w": masked(one["w"], mask)}, {**two, "w": masked(two["w"], -mask)}]
    for name, value in summed(defense, [one, two]).items():
        assert torch.equal(value, summed(defense, hidden)[name])

    def uniform(value: torch.Tensor) -> bool:
        bins = torch.histc(value - 1, bins=64, min=0, max=m).numpy()
        return chisquare(bins).pvalue > RARE

    assert uniform(hidden[0]["w"])
    assert uniform(hidden[1]["w"])
    assert not uniform(one["w"])


def test_defenses_that_change_the_encoding_are_refused() -> None:
    defense = DistributedDP(threshold=2)
    given = updates(2, 30)
    for later in (TopK(fraction=0.5), LocalDP(noise_multiplier=0.1)):
        changed = [later.protect_update(u, torch_rng(0)) for u in sent_by(defense, given)]
        with pytest.raises(RefusedError, match="list distributed-dp last"):
            summed(defense, changed)
    central = CentralDP(noise_multiplier=0.1)
    mean = {n: v * 2 for n, v in sent_by(defense, given)[0].items()}
    with pytest.raises(RefusedError, match="before defenses that act on the aggregate"):
        defense.protect_aggregate(central.protect_aggregate(mean, 2, torch_rng(0)), 2, torch_rng(0))
    sent = sent_by(defense, given)
    kept = [SecureAggregation().protect_update(u, torch_rng(0)) for u in sent]
    assert summed(defense, kept).keys() == given[0].keys()


def test_what_the_noise_is_not_made_for_is_refused() -> None:
    defense = DistributedDP(threshold=3, dimension=10)
    with pytest.raises(RefusedError, match="11 coordinates, more than the 10"):
        defense.protect_update({"w": torch.ones(11)}, torch_rng(0))
    with pytest.raises(RefusedError, match="raise dimension"):
        defense.check(nn.Linear(5, 2), Training())
    with pytest.raises(RefusedError, match="fewer than the threshold of 3"):
        defense.check(nn.Linear(2, 2), Training(cohort=2))
    defense.check(nn.Linear(2, 2), Training(cohort=0))
    with pytest.raises(RefusedError, match="fewer than the threshold"):
        summed(defense, sent_by(defense, updates(2, 5)))
    for bad in (torch.tensor([1, 2]), torch.tensor([torch.nan])):
        with pytest.raises(RefusedError, match=r"layer\.weight"):
            defense.protect_update({"layer.weight": bad}, torch_rng(0))
    assert defense.protect_update({}, torch_rng(0)) == {}


@pytest.mark.parametrize(
    "settings",
    [
        {"threshold": 1},
        {"threshold": 4, "colluders": 4},
        {"colluders": -1},
        {"granularity": 0.0},
        {"granularity": 1e-12},
        {"modulus_bits": 41},
        {"noise_multiplier": float("nan")},
        {"dimension": 0},
    ],
    ids=str,
)
def test_settings_that_make_no_defense(settings: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=list(settings)[-1]):
        DistributedDP(**settings)


def test_the_record_counts_the_fewest_honest_clients_and_what_rounding_costs() -> None:
    defense = DistributedDP(noise_multiplier=6.0, threshold=10, colluders=4, dimension=50_000)
    (record,) = defense.privacy(EXPOSURE)
    assert (record.unit, record.adjacency, record.observer) == (
        "client",
        "zero-out",
        "honest-server",
    )
    assert record.releases == 16
    assert "exact integers" in record.mechanism
    assert "at most 4 collude" in record.trust
    mechanism = mechanism_of(record)
    assert (mechanism.honest, mechanism.dimension) == (6, 50_000)
    assert mechanism.noise_multiplier * sqrt(6) >= 6.0
    # Never below a continuous Gaussian of this noise, and near it on a fine grid.
    exact = epsilon_of(sqrt(16) / 6.0, 1e-5)
    assert exact < record.total_epsilon < 1.15 * exact
    coarse = replace(defense, granularity=0.05).privacy(EXPOSURE)[0]
    assert coarse.total_epsilon > 2 * record.total_epsilon
    assert replace(defense, colluders=8).deviation > 1.7 * defense.deviation
    assert DistributedDP(modulus_bits=20).upload_bytes(4000) == 2500


def test_a_thousand_clients_share_the_noise_that_each_would_need_alone() -> None:
    """1,000 clients, 500 coordinates, 20 rounds, epsilon 1.5 in all: .26 clips against 16.3."""
    job = replace(EXPOSURE, rounds=20, clients=1000, cohort=1000)
    summed = DistributedDP(noise_multiplier=12.6, threshold=1000, dimension=500)
    assert 1.4 < summed.privacy(job)[0].total_epsilon <= 1.5
    shares = sqrt(1000 * 500) * summed.deviation * summed.granularity
    # A continuous Gaussian would need .258; Renyi bounds and the grid take the rest.
    assert 0.258 < shares / 1000 < 0.29
    alone = LocalDP(noise_multiplier=23.1)
    assert alone.privacy(job)[0].total_epsilon == pytest.approx(1.5, rel=0.01)
    assert sqrt(500 / 1000) * 23.1 == pytest.approx(16.3, rel=0.01)
