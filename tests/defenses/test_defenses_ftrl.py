"""Correlated noise: its errors, how often records enter, and broken variants refuted."""

from __future__ import annotations

from dataclasses import replace
from math import ceil, inf, sqrt

import numpy as np
import pytest
import torch
from defense_steps import flat, make_step
from hypothesis import given, settings
from hypothesis import strategies as st
from release_tests import RARE, noise_refutes
from scipy.stats import chi2
from torch import Tensor, nn

from seepage.accounting.matrix_gaussian import MatrixGaussian, prefix_error, sqrt_toeplitz
from seepage.core.defense import LocalStep
from seepage.core.errors import RefusedError
from seepage.core.privacy import Exposure
from seepage.core.seeds import torch_rng
from seepage.core.task import ClientData, Records, Task, Training
from seepage.defenses.api import DPFTRL, DPSGD, BayesianNoise
from seepage.fl.batches import draws_of
from seepage.fl.engine import train

EXPOSURE = Exposure(rounds=20, local_steps=2, batch_size=5, examples=50, clients=8, cohort=8)


def run(defense: DPFTRL, steps: list[LocalStep], seed: int = 0) -> Tensor:
    """Return the sums that a client releases in a row of steps, `[steps, d]`."""
    carried: dict[str, Tensor] = {}
    found: list[Tensor] = []
    for number, step in enumerate(steps):
        here = replace(step, carried=carried, number=number)
        released = defense.gradient(here, torch_rng(seed, number))
        found.append(flat(released) * step.expected_batch)
    return torch.stack(found)


def whitened(releases: Tensor) -> Tensor:
    """Return C times the releases: their noise is independent again."""
    count = len(releases)
    matrix = torch.zeros(count, count, dtype=torch.float64)
    for lag, value in enumerate(sqrt_toeplitz(count)):
        matrix += float(value) * torch.diag(torch.ones(count - lag, dtype=torch.float64), -lag)
    return matrix @ releases


def test_prefix_sums_at_500_steps_err_by_3_and_independent_noise_by_22() -> None:
    count, width = 500, 400
    step = make_step(lambda: nn.Linear(6, width, bias=False), 0)
    # Noise that makes one participation 1-GDP, as independent noise of 1 does.
    sensitivity = float(np.linalg.norm(sqrt_toeplitz(count)))
    released = run(DPFTRL(noise_multiplier=sensitivity), [step] * count)
    errors = released.cumsum(0).square().mean(1).sqrt()
    assert float(errors.max()) == pytest.approx(3.04, rel=0.05)
    assert float(errors[-1]) == pytest.approx(prefix_error(count), rel=0.05)
    independent = torch.randn(count, 6 * width, generator=torch_rng(1)).cumsum(0)
    assert float(independent[-1].square().mean().sqrt()) == pytest.approx(sqrt(500), rel=0.05)
    assert not noise_refutes(whitened(released), sensitivity)
    assert noise_refutes(released, sensitivity)


def test_the_gradient_is_the_clipped_sum_and_its_noise_is_of_every_parameter() -> None:
    step = make_step(batch=7)
    silent = DPFTRL(noise_multiplier=0.0, max_grad_norm=0.3)
    one = run(silent, [step])
    assert float(one.norm()) <= 7 * 0.3 + 1e-6
    assert torch.equal(run(silent, [step] * 3)[2], one[0])
    names = silent.gradient(step, torch_rng(0)).keys()
    assert names == dict(step.model.named_parameters()).keys()
    bad = replace(step, inputs=step.inputs * torch.nan, carried={})
    with pytest.raises(RefusedError):
        silent.gradient(bad, torch_rng(0))
    with pytest.raises(RefusedError, match="GroupNorm"):
        silent.check(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), Training())
    assert not DPFTRL.poisson


@settings(deadline=None, max_examples=60)
@given(
    n=st.integers(1, 30),
    size=st.integers(1, 30),
    steps=st.integers(1, 60),
    seed=st.integers(0, 2**31),
)
def test_no_record_enters_more_or_nearer_steps_than_the_record_says(
    n: int, size: int, steps: int, seed: int
) -> None:
    draws = draws_of([DPFTRL()], n, min(size, n), torch_rng(seed))
    uses: list[list[int]] = [[] for _ in range(n)]
    for step in range(steps):
        for record in draws.draw().tolist():
            uses[record].append(step)
    exposure = replace(EXPOSURE, rounds=steps, local_steps=1, batch_size=size, examples=n)
    released = DPFTRL().released(exposure)
    assert max(map(len, uses)) == released.participations == ceil(steps * min(size, n) / n)
    assert all(gap >= released.min_separation for used in uses for gap in np.diff(used))
    # ||C x|| of what each record really does, against what is accounted for all of them.
    column = sqrt_toeplitz(steps)
    moved = [sum(np.pad(column[: steps - s], (s, 0)) for s in used) for used in uses]
    worst = max(float(np.linalg.norm(m)) for m in moved)
    assert worst <= released.sensitivity * (1 + 1e-9)
    if n % min(size, n) == 0:
        assert worst == pytest.approx(released.sensitivity)


def test_the_record_is_of_the_whole_run() -> None:
    defense = DPFTRL(noise_multiplier=6.0)
    (record,) = defense.privacy(EXPOSURE)
    assert (record.unit, record.adjacency, record.releases) == ("record", "zero-out", 40)
    assert "at most 4 of 40 steps, at least 10 apart" in record.mechanism
    assert "floating-point" in record.mechanism
    column = sqrt_toeplitz(40)
    worst = sum(np.concatenate([np.zeros(s), column[: 40 - s]]) for s in (0, 10, 20, 30))
    assert record.mu == pytest.approx(float(np.linalg.norm(worst)) / 6.0)
    whole = replace(EXPOSURE, batch_size=0)
    assert defense.released(whole).participations == 40
    assert DPFTRL(noise_multiplier=0.0).privacy(EXPOSURE)[0].total_epsilon == inf


class Halved(DPFTRL):
    def correlated(self, step, rng):
        return {n: v / 2 for n, v in super().correlated(step, rng).items()}


class Forgetful(DPFTRL):
    """Draws the noise of earlier steps from nowhere: it cancels what was never added."""

    def correlated(self, step, rng):
        noise = super().correlated(step, rng)
        for key in step.carried:
            step.carried[key] = torch.zeros_like(step.carried[key])
        return noise


class OneDraw(DPFTRL):
    """Draws the same normals at each step, so that differences of steps have little noise."""

    def correlated(self, step, rng):
        return super().correlated(step, torch_rng(5))


class Unclipped(DPFTRL):
    def gradient(self, step, rng):
        wide = {"max_grad_norm": 9.0, "noise_multiplier": self.noise_multiplier / 9.0}
        return DPFTRL(**wide).gradient(step, rng)


class ScalarEscapes(DPFTRL):
    def correlated(self, step, rng):
        noise = super().correlated(step, rng)
        return {n: v * (v.numel() > 1) for n, v in noise.items()}


def measured_mu(defense: DPFTRL, released: MatrixGaussian) -> float:
    """Return a mu that a client's releases surely reach, for a record in its first steps.

    Runs with equal seeds have equal noise, so their difference is what the record did; the
    noise of each tensor is measured after whitening.
    """
    step = make_step(lambda: nn.Linear(6, 1), 9)
    step = replace(step, loss=nn.functional.mse_loss, targets=torch.full((9, 1), 1e3))
    less = replace(step, inputs=step.inputs[:-1], targets=step.targets[:-1])
    steps = [step] * released.participations
    steps += [less] * (released.releases - len(steps))
    signal = run(defense, steps) - run(defense, [less] * len(steps))
    empty = replace(step, inputs=step.inputs[:0], targets=step.targets[:0])
    noise = torch.stack([whitened(run(defense, [empty] * len(steps), seed)) for seed in range(40)])
    count = noise[..., :1].numel()
    most = (noise.square().sum((0, 1)) / chi2.ppf(RARE, count)).sqrt()
    return float((whitened(signal) / most).norm())


def test_releases_refute_broken_variants_and_not_the_sound_one() -> None:
    defense = DPFTRL(noise_multiplier=2.0, max_grad_norm=1.0)
    exposure = replace(EXPOSURE, rounds=4, local_steps=2, batch_size=9, examples=24)
    released = defense.released(exposure)
    assert (released.releases, released.participations) == (8, 3)
    assert released.mu is not None
    sound = measured_mu(defense, released)
    assert 0.7 * released.mu < sound <= released.mu
    for broken in (Halved, Unclipped, ScalarEscapes):
        assert measured_mu(broken(**vars(defense)), released) > released.mu
    # These two show in the noise alone: it is not what whitening makes independent.
    step = make_step(lambda: nn.Linear(6, 300), 0)
    for kind, refuted in ((DPFTRL, False), (Forgetful, True), (OneDraw, True)):
        noise = whitened(run(kind(**vars(defense)), [step] * 8))
        correlated = abs(float(torch.corrcoef(noise[[6, 7]])[0, 1])) > 0.15
        assert (noise_refutes(noise, 2.0) or correlated) == refuted


def test_in_a_job_noise_cancels_over_rounds_for_each_client_on_its_own() -> None:
    records = Records(inputs=torch.zeros(6, 64), targets=torch.zeros(6, 100), rows=torch.arange(6))
    clients = tuple(
        ClientData(name=str(i), train=replace(records, rows=records.rows + 6 * i), holdout=records)
        for i in range(2)
    )
    task = Task(
        name="t",
        build=lambda rng: nn.Linear(64, 100),
        loss=nn.functional.mse_loss,
        clients=clients,
        auxiliary=records,
        training=Training(rounds=6, batch_size=3, lr=1.0),
        classes=0,
    )
    history = train(
        task, defenses=[DPFTRL(noise_multiplier=3.0, max_grad_norm=1.0)], seed=0, record=range(6)
    )
    # Inputs of zero have no gradient of the weight: what is left is the noise.
    noise = [
        torch.stack([-3 * history.rounds[r].released[c]["weight"].flatten() for r in range(6)])
        for c in (0, 1)
    ]
    white = torch.cat([whitened(one.double()) for one in noise])
    assert not noise_refutes(white, 3.0)
    assert float((torch.corrcoef(white) - torch.eye(12)).abs().max()) < 0.1
    assert noise_refutes(torch.cat(noise), 3.0)
    for rivals in ([DPFTRL(), DPFTRL()], [DPSGD(), BayesianNoise()]):
        names = " and ".join(type(rival).__name__ for rival in rivals)
        with pytest.raises(RefusedError, match=f"{names} each replace the gradient"):
            train(task, defenses=rivals, seed=0)
