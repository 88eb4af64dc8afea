"""Noise drawn from a posterior: what it may depend on, what it costs, and the Bayesian figure."""

from dataclasses import replace
from math import inf, sqrt

import numpy as np
import pytest
import torch
from defense_steps import flat, make_step, releases

from seepage.accounting.gaussian import epsilon_of
from seepage.core.privacy import Exposure
from seepage.core.seeds import torch_rng
from seepage.defenses.dp.records.bayesian_dp import bayesian_epsilon, public_lengths
from seepage.defenses.dp.records.bayesian_noise import BayesianNoise
from seepage.defenses.dp.records.dp_sgd import DPSGD

WHOLE = Exposure(rounds=12, local_steps=1, batch_size=0, examples=50, clients=4, cohort=4)


def test_the_scale_is_drawn_without_a_look_at_the_batch() -> None:
    defense = BayesianNoise(noise_multiplier=0.5, largest_multiplier=3.0, noise_to_signal=1.0)
    one, other = make_step(seed=1), replace(make_step(batch=0), expected_batch=20)
    for seed in range(20):
        assert defense.draw(one, torch_rng(seed)) == defense.draw(other, torch_rng(seed))
    # The release's noise is of that scale: an empty batch of the same seed shows it.
    (noise,) = releases(defense, other, 1, seed=4)
    drawn = defense.draw(replace(other, carried={}), torch_rng(4, 0))
    plain = float(flat(noise).square().mean().sqrt())
    assert plain == pytest.approx(drawn, rel=0.25)


def test_the_scale_stays_in_its_bounds_and_follows_the_signal() -> None:
    defense = BayesianNoise(
        noise_multiplier=0.5,
        largest_multiplier=3.0,
        max_grad_norm=0.05,
        noise_to_signal=0.2,
        prior_steps=0.2,
    )
    drawn: dict[int, list[float]] = {}
    for batch in (1, 20):
        step = make_step(batch=batch)
        step = replace(step, inputs=step.inputs.abs() + 1)
        drawn[batch] = []
        for number in range(60):
            drawn[batch].append(defense.draw(step, torch_rng(number, 1)))
            defense.gradient(step, torch_rng(number))
        assert 0.5 <= min(drawn[batch]) <= max(drawn[batch]) <= 3.0
    assert np.mean(drawn[20][30:]) > 1.3 * np.mean(drawn[1][30:])


def test_epsilon_is_that_of_the_least_noise_and_the_bayesian_figure_stands_beside_it() -> None:
    defense = BayesianNoise(noise_multiplier=2.5, largest_multiplier=5.0)
    (record,) = defense.privacy(WHOLE)
    (least,) = DPSGD(noise_multiplier=2.5).privacy(WHOLE)
    assert record.mu == least.mu == pytest.approx(sqrt(12) / 2.5)
    assert record.total_epsilon == least.total_epsilon
    assert record.bayesian_epsilon is None
    lengths = tuple(np.random.default_rng(0).uniform(0.1, 0.5, 300))
    (with_figure,) = replace(defense, typical_lengths=lengths).privacy(WHOLE)
    assert with_figure.total_epsilon == record.total_epsilon
    assert with_figure.bayesian_epsilon is not None
    assert 0 < with_figure.bayesian_epsilon < record.total_epsilon
    # Records that all reach the norm have no more than the worst case.
    (full,) = replace(defense, typical_lengths=(1.0, 1.0)).privacy(WHOLE)
    assert full.bayesian_epsilon == pytest.approx(record.total_epsilon)


@pytest.mark.parametrize("releases_", [1, 10])
def test_on_average_over_records_losses_exceed_the_bayesian_epsilon_as_seldom_as_said(
    releases_: int,
) -> None:
    rng, delta = np.random.default_rng(0), 1e-3
    lengths: list[float] = rng.beta(2, 4, 400).tolist()
    epsilon = bayesian_epsilon(lengths, noise_multiplier=1.2, releases=releases_, delta=delta)
    drawn = rng.beta(2, 4, 400_000)
    mu = drawn / 1.2 * sqrt(releases_)
    losses = mu**2 / 2 + mu * rng.normal(size=len(mu))
    exceeded = (losses > epsilon).mean()
    assert exceeded <= delta
    # A smaller sample of the same lengths says less of the population.
    few = bayesian_epsilon(lengths[:20] * 2, noise_multiplier=1.2, releases=releases_, delta=delta)
    many = bayesian_epsilon(
        lengths[:20] * 20, noise_multiplier=1.2, releases=releases_, delta=delta
    )
    assert few > 1.04 * many
    # And it is no promise to the longest record.
    assert epsilon < epsilon_of(sqrt(releases_) / 1.2, delta)
    longest = sqrt(releases_) / 1.2
    tail = (longest**2 / 2 + longest * rng.normal(size=400_000) > epsilon).mean()
    assert tail > delta


def test_lengths_come_from_public_records() -> None:
    step = make_step()
    lengths = public_lengths(step.model, step.loss, step.inputs, step.targets, max_grad_norm=0.7)
    assert len(lengths) == 20
    assert min(lengths) < 1.0 == max(lengths)
    assert bayesian_epsilon(lengths, noise_multiplier=0.0) == inf


def test_what_is_carried_is_a_function_of_the_release() -> None:
    defense, step = BayesianNoise(max_grad_norm=0.5), make_step()
    drawn = defense.draw(step, torch_rng(0, 0))
    (total,) = releases(defense, step, 1)
    power = float(flat(total).square().sum()) / 0.5**2 - len(flat(total)) * drawn**2
    assert float(step.carried["bayesian-noise.power"]) == pytest.approx(power, rel=1e-4)
    assert set(step.carried) == {"bayesian-noise.power", "bayesian-noise.weight"}
    assert all(isinstance(value, torch.Tensor) for value in step.carried.values())
