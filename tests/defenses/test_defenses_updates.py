"""Defenses of whole updates and aggregates."""

from collections.abc import Mapping
from math import inf, sqrt

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from seepage.accounting.bounds import GaussianProfile
from seepage.core.defense import Defense
from seepage.core.errors import RefusedError
from seepage.core.privacy import Exposure
from seepage.core.seeds import torch_rng
from seepage.core.task import Training
from seepage.defenses.api import CentralDP, LocalDP, SecureAggregation, TopK
from seepage.defenses.dp.bounding import clip

Update = Mapping[str, torch.Tensor]
EXPOSURE = Exposure(rounds=16, local_steps=3, batch_size=4, examples=100, clients=8, cohort=8)
ALL = pytest.mark.parametrize(
    "defense", [LocalDP(), CentralDP(), TopK(), SecureAggregation()], ids=lambda d: d.card.name
)


def through(defense: Defense, update: Update, seed: int = 0) -> Update:
    """Send one update through every hook, as a round of two equal clients does."""
    rng = torch_rng(seed, "defense")
    sent = defense.bound_update(defense.protect_update(update, rng))
    return defense.protect_aggregate(sent, 2, rng)


def norm(update: Update) -> float:
    return sqrt(sum(float(t.double().square().sum()) for t in update.values()))


@ALL
@pytest.mark.parametrize(
    "bad",
    [
        torch.tensor([1, 2]),
        torch.tensor([True]),
        torch.tensor([1.0, float("nan")]),
        torch.tensor([inf]),
        torch.tensor([1 + 1j]),
    ],
    ids=["integer", "bool", "nan", "infinity", "complex"],
)
def test_what_cannot_be_protected_is_refused_by_name(defense: Defense, bad: torch.Tensor) -> None:
    with pytest.raises(RefusedError, match=r"layer\.weight"):
        through(defense, {"fine": torch.ones(2), "layer.weight": bad})


@ALL
def test_odd_shapes_pass_and_the_same_generator_gives_the_same_release(defense: Defense) -> None:
    update = {
        "scalar": torch.tensor(3.0),
        "empty": torch.empty(0, 4),
        "matrix": torch.arange(6.0).view(2, 3),
        "double": torch.ones(3, dtype=torch.float64),
    }
    before = {name: tensor.clone() for name, tensor in update.items()}
    first, second, other = (through(defense, update, seed) for seed in (0, 0, 1))
    for name, tensor in update.items():
        assert first[name].shape == tensor.shape
        assert first[name].dtype == tensor.dtype
        assert torch.equal(first[name], second[name])
        assert torch.equal(tensor, before[name])
    if isinstance(defense, LocalDP | CentralDP):
        assert not torch.equal(first["scalar"], other["scalar"])
    assert through(defense, {}) == {}


@settings(deadline=None)
@given(
    scale=st.floats(1e-3, 1e30),
    max_norm=st.floats(0.01, 100),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_clipping_never_exceeds_the_norm_and_keeps_the_direction(
    scale: float, max_norm: float, dtype: torch.dtype
) -> None:
    rng = torch_rng(1, "update")
    update = {n: scale * torch.randn(s, generator=rng).to(dtype) for n, s in (("a", 40), ("b", 3))}
    clipped = clip(update, max_norm)
    assert norm(clipped) <= max_norm
    assert norm(clipped) == pytest.approx(min(max_norm, norm(update)), rel=1e-5)
    ratios = torch.cat([clipped[n] / update[n] for n in update])
    assert float(ratios.max()) == pytest.approx(float(ratios.min()), rel=1e-4)


def test_half_precision_stays_within_the_norm() -> None:
    update = {"w": torch.randn(5000, generator=torch_rng(0)).half()}
    assert 0.99 < norm(clip(update, 1.0)) <= 1.0


def assert_std(noise: torch.Tensor, std: float) -> None:
    """Fail where the sample's variance has probability below 1e-6 under N(0, std^2)."""
    statistic = float((noise / std).double().square().sum())
    low, high = chi2.ppf([5e-7, 1 - 5e-7], noise.numel())
    assert low < statistic < high


def test_local_noise_has_the_stated_deviation_on_every_tensor() -> None:
    defense = LocalDP(noise_multiplier=0.5, max_norm=3.0)
    update = {"w": torch.full((200, 100), 1.0), "buffer": torch.full((20_000,), 2.0)}
    clipped = clip(update, 3.0)
    assert norm(clipped) == pytest.approx(3.0, rel=1e-5)
    released = defense.protect_update(update, torch_rng(0))
    noise = {name: released[name] - clipped[name] for name in update}
    for tensor in noise.values():
        assert_std(tensor, 1.5)
    correlation = torch.corrcoef(torch.stack([t.flatten() for t in noise.values()]))[0, 1]
    assert abs(float(correlation)) < 0.04


def test_central_noise_falls_with_the_cohort() -> None:
    defense = CentralDP(noise_multiplier=2.0, max_norm=0.5)
    aggregate = {"w": torch.zeros(40_000)}
    for contributors in (1, 10):
        released = defense.protect_aggregate(aggregate, contributors, torch_rng(0))
        assert_std(released["w"], 1.0 / contributors)
    assert norm(defense.bound_update({"w": torch.ones(100)})) == pytest.approx(0.5, rel=1e-5)
    with pytest.raises(RefusedError):
        defense.protect_aggregate(aggregate, 0, torch_rng(0))


def test_local_record_counts_every_round_with_replace_sensitivity() -> None:
    defense = LocalDP(noise_multiplier=8.0)
    (record,) = defense.privacy(EXPOSURE)
    assert (record.unit, record.adjacency, record.releases) == ("client", "replace", 16)
    assert record.mu == pytest.approx(2 / 8.0 * sqrt(16))
    assert defense.profile(EXPOSURE) == GaussianProfile(1.0)


def test_central_record_holds_against_peers_and_not_against_the_server() -> None:
    defense = CentralDP(noise_multiplier=8.0)
    peers, server = defense.privacy(EXPOSURE)
    assert (peers.observer, server.observer) == ("peer-client", "honest-server")
    assert (peers.adjacency, peers.unit) == ("zero-out", "client")
    assert peers.mu == pytest.approx(sqrt(16) / 8.0)
    assert server.total_epsilon == server.information_bits == inf
    assert "nothing holds" in server.trust
    assert defense.profile(EXPOSURE) == GaussianProfile(0.5)


@settings(deadline=None)
@given(
    values=st.lists(st.integers(-3, 3), min_size=1, max_size=40),
    fraction=st.floats(0.01, 1.0),
)
def test_top_k_keeps_exactly_k_of_the_largest(values: list[int], fraction: float) -> None:
    defense = TopK(fraction=fraction)
    # Half of the coordinates tie; adding 10 makes a kept one never zero.
    flat = torch.tensor(values, dtype=torch.float32).abs() + 10
    cut = len(flat) // 3
    sent = defense.protect_update({"a": flat[:cut], "b": flat[cut:].view(-1, 1)}, torch_rng(0))
    joined = torch.cat([sent["a"], sent["b"].flatten()])
    kept = joined != 0
    k = max(1, round(fraction * len(flat)))
    assert int(kept.sum()) == k
    assert torch.equal(joined[kept], flat[kept])
    assert not (~kept).any() or float(flat[~kept].max()) <= float(flat[kept].min())


def test_top_k_works_across_tensors_by_magnitude_and_counts_its_bytes() -> None:
    update = {"small": torch.tensor([0.1, -0.2]), "large": torch.tensor([-5.0, 3.0])}
    sent = TopK(fraction=0.5).protect_update(update, torch_rng(0))
    assert torch.equal(sent["small"], torch.zeros(2))
    assert torch.equal(sent["large"], update["large"])
    assert TopK(fraction=0.1).upload_bytes(4000) == 100 * 8
    assert TopK(fraction=1.0).upload_bytes(4000) == 4000
    assert TopK().privacy(EXPOSURE) == ()


def test_secure_aggregation_changes_nothing_and_refuses_to_reveal_too_few() -> None:
    defense = SecureAggregation(minimum_cohort=3)
    update = {"w": torch.ones(2)}
    assert defense.protect_update(update, torch_rng(0)) is update
    assert defense.protect_aggregate(update, 3, torch_rng(0)) is update
    with pytest.raises(RefusedError, match="fewer than the 3"):
        defense.protect_aggregate(update, 2, torch_rng(0))
    model = torch.nn.Linear(1, 1)
    defense.check(model, Training(cohort=0))
    defense.check(model, Training(cohort=3))
    with pytest.raises(RefusedError, match="raise the cohort"):
        defense.check(model, Training(cohort=2))
