"""What a deployment gives away, to whom: published figures, candidates, contradictions."""

import subprocess
import sys
from math import inf, sqrt

import numpy as np
import pytest
from scipy.stats import norm

import seepage.accounting
from seepage.accounting import epsilon_record, rero_bound
from seepage.accounting.bounds import antipodal_success, orthogonal_success
from seepage.accounting.calibration import calibrate
from seepage.accounting.deployment import Deployment
from seepage.accounting.gaussian import mu_of
from seepage.accounting.laplace import Laplace
from seepage.accounting.sampled_gaussian import SampledGaussian
from seepage.accounting.vantage import calibrated
from seepage.core.errors import UsageError

STANDARD = {"noise_multiplier": 1.0, "sample_rate": 0.1, "releases": 500}
TO_1_5 = {"noise_multiplier": 5.885, "sample_rate": 0.1, "releases": 500}
AWARE = {**TO_1_5, "observer": "participation-aware"}
SINGLE = {**TO_1_5, "observer": "single-updates", "clients": 10}


def three_digits(value: float) -> float:
    return float(f"{value:.3g}")


@pytest.mark.parametrize(
    ("run", "total"),
    [
        ({"release_epsilon": 1.5}, 1.5),
        ({"release_epsilon": 1.5, "releases": 500}, 73.6),
        ({"release_epsilon": 2.0, "releases": 100}, 33.2),
        (STANDARD, 16.6),
        ({**STANDARD, "adjacency": "zero-out"}, 16.6),
        ({**STANDARD, "adjacency": "replace"}, 28.6),
        (TO_1_5, 1.5),
        ({**AWARE, "adjacency": "zero-out"}, 5.42),
        ({**SINGLE, "adjacency": "zero-out"}, 22.8),
        ({**AWARE, "adjacency": "replace"}, 12.6),
        ({**SINGLE, "adjacency": "replace"}, 60.5),
        ({**AWARE, "adjacency": "zero-out", "participations": 70}, 6.61),
        ({"noise_multiplier": 1 / mu_of(1.5, 1e-5), "adjacency": "replace"}, 3.26),
    ],
)
def test_the_true_total(run: dict[str, object], total: float) -> None:
    assert three_digits(epsilon_record(**run).total_epsilon) == total


def test_the_published_figure_of_the_pld_accountant() -> None:
    assert epsilon_record(**STANDARD).total_epsilon == pytest.approx(16.56, abs=0.01)


@pytest.mark.parametrize(
    ("target", "once", "sampled"),
    [(1.2, 3.16, 7.17), (1.5, 2.58, 5.88), (2.0, 1.99, 4.58), (2.5, 1.63, 3.78)],
)
def test_calibration_finds_the_least_noise(target: float, once: float, sampled: float) -> None:
    def noise(**changes: object) -> float:
        run = calibrated(Deployment(target_epsilon=target, **changes))
        epsilon = epsilon_record(noise_multiplier=run.noise_multiplier, **changes).total_epsilon
        assert 0.998 * target <= epsilon <= target
        return run.noise_multiplier or 0.0

    assert three_digits(noise()) == once
    assert noise(adjacency="replace") == pytest.approx(2 * noise(), rel=1e-3)
    assert three_digits(noise(sample_rate=0.1, releases=500)) == sampled


@pytest.mark.parametrize(
    "changes",
    [
        {"mechanism": "laplace", "releases": 20},
        {"mechanism": "matrix-gaussian", "releases": 50, "participations": 3},
        {
            "mechanism": "distributed-gaussian",
            "clients": 20,
            "dimension": 100,
            "granularity": 0.01,
        },
        {"observer": "single-updates", "clients": 5, "releases": 10},
    ],
)
def test_every_mechanism_with_a_noise_multiplier_can_be_calibrated(
    changes: dict[str, object],
) -> None:
    record = epsilon_record(target_epsilon=3.0, **changes)
    assert 0.98 * 3 <= record.total_epsilon <= 3.0


def test_a_target_below_reach_is_said_so() -> None:
    with pytest.raises(UsageError, match="no noise gives"):
        calibrate(lambda _: SampledGaussian(noise_multiplier=1.0), 0.1, 1e-5)
    for target in (0.0, inf, float("nan")):
        with pytest.raises(UsageError, match="target_epsilon"):
            calibrate(lambda z: Laplace(noise_multiplier=z), target, 1e-5)


def test_the_record_says_what_was_assumed() -> None:
    aware = epsilon_record(**AWARE)
    assert "50 participations" in aware.trust
    assert "expected, not worst-case" in aware.trust
    stated = epsilon_record(**{**AWARE, "participations": 70})
    assert "70 participations" in stated.trust
    assert "as stated" in stated.trust
    assert (stated.observer, stated.releases, stated.adjacency) == (
        "participation-aware",
        70,
        "add-remove",
    )
    assert "10 clients" in epsilon_record(**SINGLE).trust
    assert "not which records" in epsilon_record(**STANDARD).trust
    matrix = {"noise_multiplier": 9.0, "mechanism": "matrix-gaussian", "releases": 40}
    every, once = epsilon_record(**matrix), epsilon_record(**matrix, participations=1)
    assert "at most 40 of the steps" in every.trust
    assert every.total_epsilon > 5 * once.total_epsilon
    rare = epsilon_record(**{**AWARE, "sample_rate": 0.0011, "releases": 1000})
    assert "2 participations" in rare.trust  # 1.1 expected, rounded up


@pytest.mark.parametrize(
    ("run", "pure"),
    [
        ({"mechanism": "pure"}, 0.3),
        ({"mechanism": "laplace"}, 0.3),
        ({"mechanism": "laplace", "adjacency": "replace"}, 0.3),
        ({"mechanism": "randomized-response", "categories": 4}, 0.3),
    ],
)
def test_a_pure_epsilon_a_release_never_exceeds_its_sum(
    run: dict[str, object], pure: float
) -> None:
    record = epsilon_record(release_epsilon=pure, releases=40, **run)
    assert record.per_release_epsilon == pytest.approx(pure, abs=1e-3)
    assert record.total_epsilon < 40 * pure
    assert record.mu is None
    assert 0 < record.information_bits < inf
    assert 0.01 < record.rero["0.01"] < 1


@pytest.mark.parametrize(
    ("run", "named"),
    [
        ({}, "how much noise"),
        ({"noise_multiplier": 1.0, "target_epsilon": 2.0}, "contradict"),
        ({"release_epsilon": 1.0, "sample_rate": 0.1}, "leave one out"),
        ({"release_epsilon": -1.0}, "epsilon is -1.0"),
        ({"noise_multiplier": 1.0, "clients": 10}, "--clients"),
        ({"noise_multiplier": 1.0, "participations": 10, "releases": 20}, "--observer"),
        ({**AWARE, "participations": 501}, "501 participations in 500"),
        ({**TO_1_5, "observer": "single-updates"}, "needs --clients"),
        ({**SINGLE, "mechanism": "laplace"}, "single-updates"),
        ({**STANDARD, "mechanism": "laplace"}, "sampling"),
        ({"noise_multiplier": 1.0, "mechanism": "pure"}, "--release-epsilon"),
        ({"noise_multiplier": 1.0, "mechanism": "distributed-gaussian"}, "needs --clients"),
        ({"release_epsilon": 1.0, "mechanism": "matrix-gaussian"}, "say its noise"),
        ({"noise_multiplier": 1.0, "categories": 3}, "--categories"),
        ({"noise_multiplier": 1.0, "mechanism": "gausian"}, "did you mean 'gaussian'"),
        ({"noise_multiplier": 1.0, "observer": "server"}, "observer"),
        ({"noise_multiplier": 1.0, "adjacency": "swap"}, "adjacency"),
        ({"noise_multiplier": 1.0, "delta": 0.0}, "delta"),
        ({"noise_multiplier": 1.0, "sample_rate": 0.0}, "sample_rate"),
        ({"noise_multiplier": 1.0, "releases": 0}, "releases"),
        (
            {"release_epsilon": 1.0, "mechanism": "randomized-response", "adjacency": "zero-out"},
            "replace",
        ),
    ],
)
def test_contradictions_are_refused_in_one_line(run: dict[str, object], named: str) -> None:
    with pytest.raises(UsageError, match=named) as caught:
        epsilon_record(**run)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("mu", [0.39, 2.0, 5.0])
@pytest.mark.parametrize("candidates", [10, 100, 1000])
def test_the_candidate_attack_reaches_its_integral_and_never_the_bound(
    mu: float, candidates: int
) -> None:
    rng, n = np.random.default_rng(candidates), 4000
    scores = rng.normal(size=(n, candidates))
    scores[:, 0] += mu
    hits = float((scores.argmax(axis=1) == 0).mean())
    expected = orthogonal_success(mu, candidates)
    assert abs(hits - expected) <= 4 * sqrt(expected * (1 - expected) / n) + 1e-3
    assert 1 / candidates < expected < rero_bound(mu, 1 / candidates)


def test_opposite_candidates_reach_the_bound() -> None:
    assert antipodal_success(1.1) == rero_bound(1.1, 0.5) == pytest.approx(norm.cdf(1.1))
    assert orthogonal_success(2.0, 2) == pytest.approx(norm.cdf(2 / sqrt(2)))
    assert orthogonal_success(0.0, 50) == pytest.approx(0.02)
    assert orthogonal_success(3.0, 1) == pytest.approx(1.0)
    assert rero_bound(inf, 0.01) == 1.0
    assert rero_bound(0.0, 0.01) == pytest.approx(0.01)
    for call in (lambda: rero_bound(-1.0, 0.1), lambda: orthogonal_success(1.0, 0)):
        with pytest.raises(UsageError):
            call()


def test_the_package_hands_out_its_public_names() -> None:
    for name in seepage.accounting.__all__:
        assert callable(getattr(seepage.accounting, name))
    with pytest.raises(AttributeError):
        _ = seepage.accounting.nothing
    record = epsilon_record(2.0, releases=4)
    assert (record.release_epsilon, record.bits) == (
        record.per_release_epsilon,
        record.information_bits,
    )
    light = (
        "import sys; import seepage.accounting; "
        "assert not {'torch', 'numpy', 'dp_accounting'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", light], check=True)
