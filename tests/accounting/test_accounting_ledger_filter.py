"""Privacy filters against integrals, another accountant, and an analyst who adapts the noise."""

from fractions import Fraction
from math import log, sqrt

import numpy as np
import pytest
from dp_accounting.rdp import compute_epsilon
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from seepage.accounting.gaussian import delta_of, epsilon_of
from seepage.accounting.ledger_filter import LIMIT, WHOLE, PrivacyFilter
from seepage.accounting.sampled_gaussian import SampledGaussian

DELTA = 1e-5
SAMPLED = SampledGaussian(noise_multiplier=1.0, sample_rate=0.1)


@pytest.mark.parametrize("order", [1.5, 2.3, 3.0, 12.0])
def test_a_renyi_filter_costs_what_the_integral_says(order: float) -> None:
    rule = PrivacyFilter(order=order, target_epsilon=8.0, target_delta=DELTA)

    def moment(x: float) -> float:
        ratio = 0.9 + 0.1 * np.exp(x - 0.5)
        return float(norm.pdf(x) * ratio**order)

    expected = log(quad(moment, -30, 45, points=[0.0, order], limit=500)[0]) / (order - 1)
    assert rule.cost(SAMPLED) >= expected * (1 - 1e-6)
    assert rule.cost(SAMPLED) == pytest.approx(expected, rel=1e-6 if order.is_integer() else 0.5)
    for mu in (0.5, 1.0, 3.0):
        spent = rule.epsilon(order * mu**2 / 2)
        assert spent == pytest.approx(compute_epsilon([order], [order * mu**2 / 2], DELTA)[0])
        assert spent >= epsilon_of(mu, DELTA)


@pytest.mark.parametrize("order", [None, 1.8, 3.0])
def test_an_analyst_who_adapts_the_noise_stays_within_delta(order: float | None) -> None:
    """Monte Carlo of the hockey stick: the noise follows the loss so far, to the filter's end."""
    rule = PrivacyFilter(order=order, target_epsilon=1.0, target_delta=0.05)
    rng, runs = np.random.default_rng(0), 200_000
    loss, spent = np.zeros(runs), np.zeros(runs)
    for _ in range(40):
        mu = np.where(loss > 0.5, 0.1, 0.4)
        cost = mu**2 if order is None else order * mu**2 / 2
        mu = np.where(spent + cost <= rule.budget, mu, 0.0)
        spent += np.where(mu > 0, cost, 0.0)
        loss += mu**2 / 2 + mu * rng.standard_normal(runs)
    beyond = np.maximum(1 - np.exp(rule.target_epsilon - loss), 0)
    error = beyond.std() / sqrt(runs)
    assert beyond.mean() <= 0.05 + 3 * error
    if order is None:  # and the Gaussian filter leaves nothing unused
        assert beyond.mean() >= 0.05 * 0.8
        assert float(delta_of(1.0, sqrt(rule.budget))) == pytest.approx(0.05)


@given(cost=st.floats(1e-30, 10.0), target=st.floats(0.01, 100.0))
def test_a_share_is_rounded_up(cost: float, target: float) -> None:
    rule = PrivacyFilter(order=None, target_epsilon=target, target_delta=DELTA)
    exact = Fraction(cost) / Fraction(rule.budget) * WHOLE
    share = rule.share(cost)
    assert exact <= share < exact + 1 or (exact > LIMIT and share > LIMIT)
