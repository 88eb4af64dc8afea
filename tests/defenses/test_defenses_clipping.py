"""Clipping by quantile and by layer, and noise by layer and over time: releases and records."""

from dataclasses import replace
from math import hypot, log, sqrt
from types import ModuleType

import numpy as np
import pytest
import torch
from defense_steps import flat, make_step, mlp, releases
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2
from torch import nn

from seepage.accounting.gaussian import delta_of, epsilon_of
from seepage.accounting.record import gaussian_record, mechanism_of
from seepage.core.errors import RefusedError
from seepage.core.privacy import Exposure
from seepage.core.seeds import torch_rng
from seepage.core.task import Training
from seepage.defenses.dp.quantile_clipping import sum_multiplier
from seepage.defenses.dp.records import ghost_clipping, per_record
from seepage.defenses.dp.records.dp_sgd import DPSGD
from seepage.defenses.dp.records.noise_schedule import staged, steps_by_factor
from seepage.defenses.dp.records.record_groups import by_layer

WHOLE = Exposure(rounds=12, local_steps=1, batch_size=0, examples=50, clients=4, cohort=4)
SAMPLED = Exposure(rounds=60, local_steps=2, batch_size=5, examples=50, clients=4, cohort=4)
SIZES = {name: p.numel() for name, p in mlp().named_parameters()}


def deviation(found: list[dict[str, torch.Tensor]], name: str) -> tuple[float, float]:
    """Return limits, of level 1e-6, of the standard deviation of a parameter's values."""
    values = torch.stack([one[name] for one in found]).double()
    squares = float((values - values.mean(0)).square().sum())
    freedom = values[0].numel() * (len(values) - 1)
    low, high = chi2.ppf([5e-7, 1 - 5e-7], freedom)
    return sqrt(squares / high), sqrt(squares / low)


@pytest.mark.parametrize("split", ["dimension", "equal"])
@pytest.mark.parametrize("way", [per_record, ghost_clipping], ids=["vmap", "ghost"])
def test_each_layer_is_clipped_to_its_share_of_the_norm(way: ModuleType, split: str) -> None:
    groups = by_layer(SIZES, 0.3, split)
    assert hypot(*groups.values()) == pytest.approx(0.3)
    assert list(groups) == [("0.weight", "0.bias"), ("2.weight", "2.bias")]
    step = make_step()
    reached = dict.fromkeys(groups, 0.0)
    slowly = torch.zeros(sum(SIZES.values()), dtype=torch.float64)
    for record in range(20):
        alone = replace(
            step,
            inputs=step.inputs[record : record + 1],
            targets=step.targets[record : record + 1],
        )
        total = way.clipped(alone, groups).total
        whole = per_record.clipped(alone, {tuple(SIZES): 1e9}).total
        slowly += flat(total)
        for names, most in groups.items():
            length = float(flat({n: total[n] for n in names}).norm())
            unclipped = float(flat({n: whole[n] for n in names}).norm())
            assert length <= most
            assert length == pytest.approx(min(unclipped, most), rel=1e-4, abs=1e-7)
            reached[names] = max(reached[names], unclipped / most)
    assert min(reached.values()) > 2
    defense = DPSGD(
        noise_multiplier=0.0, max_grad_norm=0.3, clipping="per-layer", layer_split=split
    )
    torch.testing.assert_close(flat(releases(defense, step, 1)[0]), slowly, rtol=1e-4, atol=1e-5)


def test_the_norm_follows_the_quantile_by_the_released_count_alone() -> None:
    # Gradient lengths of this loss are those of the records: the target quantile is known.
    step = make_step(
        lambda: nn.Linear(6, 1, bias=False), 200, lambda o, t: o.mean() + 0 * t.double().mean()
    )
    lengths = step.inputs.norm(dim=1)
    defense = DPSGD(
        noise_multiplier=0.5,
        clipping="adaptive",
        target_quantile=0.7,
        count_noise=5.0,
        clip_learning_rate=1.0,
    )
    seen: list[float] = []
    for number in range(150):
        defense.gradient(step, torch_rng(number))
        seen.append(float(step.carried["dp-sgd.clipping-norm"]))
    share = np.mean([float((lengths <= norm).double().mean()) for norm in seen[50:]])
    assert share == pytest.approx(0.7, abs=0.03)
    # One record more or less moves the noiseless count by half a record, so log C by 1 / 400.
    quiet = replace(defense, noise_multiplier=0.0, count_noise=1e-9)
    moved: list[float] = []
    for kept in (200, 199):
        one = replace(step, inputs=step.inputs[:kept], targets=step.targets[:kept], carried={})
        quiet.gradient(one, torch_rng(0))
        moved.append(log(float(one.carried["dp-sgd.clipping-norm"])))
    assert abs(moved[0] - moved[1]) == pytest.approx(0.5 / 200, rel=1e-5)


def test_an_empty_batch_gives_a_noisy_count_too() -> None:
    defense = DPSGD(clipping="adaptive", count_noise=2.0)
    norms: set[float] = set()
    for seed in range(3):
        step = replace(make_step(batch=0), expected_batch=8)
        defense.gradient(step, torch_rng(seed))
        norms.add(float(step.carried["dp-sgd.clipping-norm"]))
    assert len(norms) == 3


def test_the_count_is_paid_for_by_more_noise_on_the_sum() -> None:
    defense = DPSGD(noise_multiplier=0.9, max_grad_norm=2.0, clipping="adaptive", count_noise=0.6)
    step = make_step(batch=4)
    found = [releases(defense, replace(step, carried={}), 1, seed=s)[0] for s in range(300)]
    low, high = deviation(found, "0.weight")
    joint = sum_multiplier(0.9, 0.6)
    assert low < joint * 2.0 < high
    assert low > 0.9 * 2.0
    # The sum moves by C against joint * C, the count by 1/2 against 0.6: together 1 / 0.9.
    assert hypot(1 / joint, 0.5 / 0.6) == pytest.approx(1 / 0.9)
    (record,) = defense.privacy(WHOLE)
    assert record.mu == pytest.approx(sqrt(12) / 0.9)
    assert record.releases == 12


def test_no_likelihood_ratio_test_of_sum_and_count_beats_the_stated_mu() -> None:
    z, noise, rng = 0.9, 0.6, np.random.default_rng(0)
    joint = sum_multiplier(z, noise)
    n = 400_000
    # The worst record is as long as the norm (or just longer): a sum of 1, a count of +-1/2.
    score = rng.normal(size=(2, n)) / joint, 0.5 * rng.normal(size=(2, n)) / noise
    statistic = score[0] + score[1]
    statistic[1] += 1 / joint**2 + 0.25 / noise**2
    for epsilon in (0.5, 1.0, 2.0):
        threshold = epsilon + (1 / z) ** 2 / 2
        p, q = (statistic[1] > threshold).mean(), (statistic[0] > threshold).mean()
        assert p - np.exp(epsilon) * q == pytest.approx(float(delta_of(epsilon, 1 / z)), abs=0.01)


def test_noise_by_layer_is_placed_and_told_at_its_true_sensitivity() -> None:
    factors = {"0.": 3.0, "2.bias": 0.5}
    defense = DPSGD(noise_multiplier=2.0, max_grad_norm=0.7, noise_by_layer=factors)
    found = releases(defense, make_step(batch=4), 200)
    for name, factor in {"0.weight": 3.0, "0.bias": 3.0, "2.weight": 1.0, "2.bias": 0.5}.items():
        low, high = deviation(found, name)
        assert low < 2.0 * 0.7 * factor < high
    (record,) = defense.privacy(WHOLE)
    assert record.mu == pytest.approx(sqrt(12) / (2.0 * 0.5))
    assert replace(defense, noise_by_layer={"": 3.0}).privacy(WHOLE)[0].mu == pytest.approx(
        sqrt(12) / 6.0
    )


@pytest.mark.parametrize("split", ["dimension", "equal"])
def test_by_layer_the_squares_of_norm_over_noise_add_up(split: str) -> None:
    defense = DPSGD(
        noise_multiplier=2.0,
        clipping="per-layer",
        layer_split=split,
        noise_by_layer={"0.": 3.0, "2.bias": 0.5},
    )
    (record,) = defense.privacy(replace(WHOLE, parameters=SIZES))
    first, second = by_layer(SIZES, 1.0, split).values()
    assert record.mu == pytest.approx(sqrt(12) / 2.0 * hypot(first / 3.0, second / 0.5))
    # The farthest that any clipped gradient goes, by search.
    rng, worst = np.random.default_rng(0), 0.0
    sigma = np.repeat([3.0, 3.0, 1.0, 0.5], list(SIZES.values()))
    layer = np.repeat([0, 0, 1, 1], list(SIZES.values()))
    for _ in range(4000):
        d = rng.normal(size=len(sigma)) ** 9
        for number, most in enumerate((first, second)):
            d[layer == number] *= most / np.linalg.norm(d[layer == number])
        worst = max(worst, float(np.linalg.norm(d / (2.0 * sigma))))
    assert 0.8 * record.mu < worst * sqrt(12) <= record.mu * (1 + 1e-9)
    # Without the model's sizes the bound is loose, never low.
    (bound,) = defense.privacy(WHOLE)
    assert bound.mu == pytest.approx(sqrt(12) / (2.0 * 0.5))
    assert "bounded by the least factor" in bound.mechanism


def test_a_prefix_that_fits_no_parameter_is_refused() -> None:
    with pytest.raises(RefusedError, match=r"'1\.', with which no parameter begins"):
        DPSGD(noise_by_layer={"1.": 2.0}).check(mlp(), Training())


def test_a_schedule_sets_the_noise_of_each_step() -> None:
    defense = DPSGD(noise_multiplier=2.0, noise_schedule=((0, 1.0), (3, 0.25)))
    step = make_step(batch=4)
    for number, factor in ((0, 1.0), (2, 1.0), (3, 0.25), (50, 0.25)):
        found = releases(defense, replace(step, number=number), 40)
        low, high = deviation(found, "0.weight")
        assert low < 2.0 * factor < high


def test_an_unsampled_schedule_composes_exactly() -> None:
    defense = DPSGD(noise_multiplier=2.0, noise_schedule=((0, 1.0), (3, 0.5), (10, 2.0)))
    (record,) = defense.privacy(WHOLE)
    mu = hypot(*[1 / (2.0 * f) for f in [1.0] * 3 + [0.5] * 7 + [2.0] * 2])
    assert record.mu == pytest.approx(mu)
    assert record.total_epsilon == pytest.approx(epsilon_of(mu, 1e-5))
    assert record.per_release_epsilon == pytest.approx(epsilon_of(1.0, 1e-5))
    assert record.releases == mechanism_of(record).releases == 12


def test_a_sampled_schedule_lies_between_its_extremes_and_keeps_rounds_together() -> None:
    def epsilon(*stages: tuple[int, float]) -> float:
        """Return the total epsilon of a schedule."""
        return DPSGD(noise_schedule=stages).privacy(SAMPLED)[0].total_epsilon

    quiet, loud, mixed = epsilon((0, 0.8)), epsilon((0, 1.6)), epsilon((0, 1.6), (60, 0.8))
    assert loud < mixed < quiet
    assert mixed == pytest.approx(epsilon((0, 0.8), (60, 1.6)))
    assert mixed >= epsilon((0, 1.6), (90, 0.8))
    # A record behind a view of two steps: no less allowed than if those were the quiet ones.
    profile = DPSGD(noise_schedule=((0, 1.6), (60, 0.8))).profile(SAMPLED)
    known = profile.given_sampled.rero(0.01)
    steady = DPSGD(noise_schedule=((0, 0.8),)).profile(SAMPLED).given_sampled.rero(0.01)
    assert max(profile.rero(0.01), 0.01) < known < steady
    # Stages that hardly differ allow what one does, of the view's steps and of the others.
    alike = DPSGD(noise_schedule=((0, 0.8), (60, 0.80001))).profile(SAMPLED).given_sampled
    assert alike.rero(0.01) == pytest.approx(steady, rel=1e-3)


def test_a_schedule_of_one_stage_is_the_plain_record() -> None:
    (one,) = DPSGD(noise_multiplier=2.0, noise_schedule=((0, 0.5),)).privacy(SAMPLED)
    plain = gaussian_record(
        mechanism="plain",
        noise_multiplier=1.0,
        sample_rate=0.1,
        releases=120,
        delta=1e-5,
        unit="record",
        adjacency="add-remove",
        observer="honest-server",
        trust="",
    )
    assert one.total_epsilon == pytest.approx(plain.total_epsilon)


@settings(max_examples=50, deadline=None)
@given(steps=st.integers(1, 300), stages=st.integers(1, 20), rate=st.floats(-0.02, 0.02))
def test_stages_give_away_what_the_curve_would(steps: int, stages: int, rate: float) -> None:
    schedule = staged(lambda t: float(np.exp(rate * t)), steps, min(stages, steps))
    counted = steps_by_factor(schedule, steps)
    assert sum(counted.values()) == steps
    mu = sum(count / factor**2 for factor, count in counted.items())
    assert mu == pytest.approx(sum(np.exp(-2 * rate * t) for t in range(steps)))
