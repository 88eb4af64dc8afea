"""Noise with a shape: over coordinates, and over steps."""

from itertools import combinations
from math import inf, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from seepage.accounting.composed import compose
from seepage.accounting.gaussian import epsilon_of, mu_of
from seepage.accounting.matrix_gaussian import (
    MatrixGaussian,
    inverse_sqrt_toeplitz,
    prefix_error,
    sqrt_toeplitz,
)
from seepage.accounting.per_coordinate import per_coordinate_gaussian, whitened_sensitivity
from seepage.accounting.record import epsilon_and_accountant, profile_of
from seepage.core.errors import UsageError


@pytest.mark.parametrize(("participations", "separation"), [(1, 1), (2, 3), (3, 2), (7, 1)])
def test_matrix_noise_covers_the_worst_pattern_of_participation(
    participations: int, separation: int
) -> None:
    rng, steps, sigma = np.random.default_rng(1), 7, 1.7
    mechanism = MatrixGaussian(
        noise_multiplier=sigma,
        releases=steps,
        participations=participations,
        min_separation=separation,
    )
    # Sigma = sigma^2 C^-1 C^-T, from the coefficients of C^-1 alone.
    inverse = np.array(
        [
            [inverse_sqrt_toeplitz(steps)[i - j] if i >= j else 0 for j in range(steps)]
            for i in range(steps)
        ]
    )
    precision = np.linalg.inv(sigma**2 * inverse @ inverse.T)
    worst = 0.0
    for count in range(1, participations + 1):
        for pattern in combinations(range(steps), count):
            if count > 1 and min(np.diff(pattern)) < separation:
                continue
            aligned = np.zeros(steps)
            aligned[list(pattern)] = 1.0
            worst = max(worst, sqrt(aligned @ precision @ aligned))
            vectors = np.zeros((steps, 3))
            vectors[list(pattern)] = rng.normal(size=(count, 3))
            norms = np.linalg.norm(vectors, axis=1, keepdims=True)
            vectors = np.divide(vectors, norms, out=vectors, where=norms > 0)
            assert sqrt(np.trace(vectors.T @ precision @ vectors)) <= mechanism.mu + 1e-9
    assert mechanism.mu == pytest.approx(worst)


def test_matrix_noise_keeps_prefix_sums_near() -> None:
    assert prefix_error(500) == pytest.approx(3.04, abs=0.005)
    column = sqrt_toeplitz(40)
    assert np.convolve(column, column)[:40] == pytest.approx(np.ones(40))
    assert np.convolve(column, inverse_sqrt_toeplitz(40))[:40] == pytest.approx(
        np.eye(1, 40)[0], abs=1e-12
    )
    run = MatrixGaussian(noise_multiplier=2.0, releases=500)
    assert run.joined(run) is None
    assert compose([run, run]).mu == pytest.approx(sqrt(2) * run.mu)
    assert run.once().mu == pytest.approx(0.5)


@settings(max_examples=40, deadline=None)
@given(
    sigmas=st.lists(st.floats(0.1, 5), min_size=1, max_size=6),
    max_norm=st.floats(0.1, 3),
    seed=st.integers(0, 1000),
    capped=st.booleans(),
)
def test_whitened_sensitivity_is_the_largest_over_the_clip_set(
    sigmas: list[float], max_norm: float, seed: int, *, capped: bool
) -> None:
    rng, d = np.random.default_rng(seed), len(sigmas)
    sigma, scales = np.array(sigmas), rng.uniform(0.2, 2, d)
    caps = rng.uniform(0.05, 1.5, d) if capped else np.full(d, inf)
    found = whitened_sensitivity(sigma, max_norm=max_norm, scales=scales, caps=caps)
    best = linprog(
        -1 / sigma**2,
        A_ub=[1 / scales**2],
        b_ub=[max_norm**2],
        bounds=[(0, None if c == inf else c**2) for c in caps],
    )
    assert found == pytest.approx(sqrt(-best.fun), rel=1e-6)
    change = rng.normal(size=(200, d))
    change *= max_norm / np.linalg.norm(change / scales, axis=1, keepdims=True)
    change = np.clip(change, -caps, caps)
    assert np.linalg.norm(change / sigma, axis=1).max() <= found * (1 + 1e-9)


def test_unequal_noise_is_worth_its_quietest_coordinate_unless_clipping_is_whitened() -> None:
    mu = mu_of(1.5, 1e-5)
    sigma = np.exp(np.random.default_rng(0).normal(0, 1, 1000))
    sigma *= 1 / mu / sigma.mean()
    naive = per_coordinate_gaussian(sigma, max_norm=1.0)
    assert epsilon_and_accountant(naive, 1e-5)[0] == pytest.approx(
        epsilon_of(1 / sigma.min(), 1e-5)
    )
    assert epsilon_and_accountant(naive, 1e-5)[0] > 200
    whitened = per_coordinate_gaussian(sigma, max_norm=1.0, scales=sigma * mu)
    assert epsilon_and_accountant(whitened, 1e-5)[0] == pytest.approx(1.5)
    # The quiet-coordinate attack: one number decides, as well as the bound allows.
    n, quiet = 200_000, float(sigma.min())
    rng = np.random.default_rng(3)
    absent, present = (m + quiet * rng.normal(size=n) for m in (0.0, 1.0))
    accuracy = ((absent < 0.5).mean() + (present > 0.5).mean()) / 2
    assert accuracy == pytest.approx(profile_of(naive).max_accuracy(), abs=2e-3)


def test_what_is_not_noised_or_bounded_is_not_protected() -> None:
    assert whitened_sensitivity([1.0, 0.0], max_norm=1.0) == inf
    assert whitened_sensitivity([1.0, 0.0], max_norm=1.0, caps=[1.0, 0.0]) == pytest.approx(1.0)
    assert whitened_sensitivity([1.0], caps=[inf]) == inf
    assert whitened_sensitivity([2.0, 1.0], caps=[2.0, 2.0]) == pytest.approx(sqrt(5))
    assert epsilon_and_accountant(per_coordinate_gaussian([1.0, 0.0], max_norm=1.0), 0.1)[0] == inf
    with pytest.raises(UsageError, match="noise of a coordinate"):
        whitened_sensitivity([1.0, float("nan")], max_norm=1.0)
