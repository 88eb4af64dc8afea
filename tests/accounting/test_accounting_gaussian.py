from collections.abc import Callable
from math import inf, sqrt

import dp_accounting
import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seepage.accounting.gaussian import delta_of, epsilon_of, mu_of, sampled_epsilon_of
from seepage.core.errors import UsageError

MUS = st.floats(0.01, 300)
DELTAS = st.sampled_from([1e-12, 1e-8, 1e-5, 1e-2, 0.3])


@pytest.mark.parametrize(
    ("quoted", "releases", "mu", "total"),
    [(1.5, 1, 0.387, 1.5), (1.5, 500, 8.66, 73.6), (2.0, 100, 5.02, 33.2), (2.5, 100, 6.12, 44.0)],
)
def test_a_quoted_epsilon_composes_to_the_true_total(
    quoted: float, releases: int, mu: float, total: float
) -> None:
    composed = mu_of(quoted, 1e-5) * sqrt(releases)
    assert composed == pytest.approx(mu, abs=0.006)
    assert epsilon_of(composed, 1e-5) == pytest.approx(total, rel=2e-3)


@settings(deadline=None)
@given(mu=MUS, delta=DELTAS)
def test_epsilon_is_that_of_another_implementation(mu: float, delta: float) -> None:
    theirs = dp_accounting.get_epsilon_gaussian(1 / mu, delta)
    assert epsilon_of(mu, delta) == pytest.approx(theirs, rel=1e-6, abs=1e-6)


@settings(deadline=None)
@given(mu=MUS, delta=DELTAS)
def test_mu_epsilon_and_delta_invert_each_other(mu: float, delta: float) -> None:
    epsilon = epsilon_of(mu, delta)
    if epsilon > 0:
        assert mu_of(epsilon, delta) == pytest.approx(mu, rel=1e-9)
        assert float(delta_of(epsilon, mu)) == pytest.approx(delta, rel=1e-5)


@pytest.mark.parametrize("mu", [1e2, 1e4, 1e6])
def test_large_mu_is_stable(mu: float) -> None:
    epsilon = epsilon_of(mu, 1e-5)
    with mpmath.workdps(60):
        m, e = mpmath.mpf(mu), mpmath.mpf(epsilon)
        exact = mpmath.ncdf(m / 2 - e / m) - mpmath.exp(e) * mpmath.ncdf(-m / 2 - e / m)
    assert float(exact) == pytest.approx(1e-5, rel=1e-6)


def test_edges_give_no_nan() -> None:
    assert epsilon_of(0, 1e-5) == 0
    assert epsilon_of(inf, 1e-5) == inf
    assert mu_of(inf, 1e-5) == inf
    assert list(delta_of(np.array([0.0, 1.0, 1e6]), 0.0)) == [0, 0, 0]
    assert list(delta_of(np.array([0.0, 1e6]), inf)) == [1, 1]
    assert np.isfinite(delta_of(np.array([0.0, 1.0, 1e9]), 1e-3)).all()


@pytest.mark.parametrize("call", [lambda: epsilon_of(-1, 0.1), lambda: mu_of(1, 0)])
def test_what_is_no_guarantee_is_refused(call: Callable[[], float]) -> None:
    with pytest.raises(UsageError):
        call()


@settings(deadline=None)
@given(mu=st.floats(0.05, 5), rate=st.floats(0.01, 0.99))
def test_one_sampled_release_is_the_hockey_stick_of_the_mixture(mu: float, rate: float) -> None:
    epsilon = sampled_epsilon_of(mu, rate, 1e-5)
    # H(P || Q) by quadrature, P = (1 - q) N(0, 1) + q N(mu, 1), Q = N(0, 1).
    x = np.linspace(-15, 15 + mu, 40_001)
    base = np.exp(-(x**2) / 2) / sqrt(2 * np.pi)
    moved = np.exp(-((x - mu) ** 2) / 2) / sqrt(2 * np.pi)
    excess = np.maximum((1 - rate) * base + rate * moved - np.exp(epsilon) * base, 0)
    delta = float(np.trapezoid(excess, x))
    if epsilon > 0:
        assert delta == pytest.approx(1e-5, rel=1e-2)
    else:
        assert delta <= 1e-5 * 1.001
