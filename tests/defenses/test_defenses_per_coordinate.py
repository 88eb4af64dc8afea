"""Noise by coordinate: what is released, whence the scales come, and what it costs."""

from dataclasses import replace
from math import hypot, sqrt

import numpy as np
import pytest
import torch
from defense_steps import flat, make_step, mlp, releases
from scipy.stats import chi2

from seepage.accounting.gaussian import epsilon_of, mu_of
from seepage.core.errors import RefusedError
from seepage.core.privacy import Exposure
from seepage.core.task import Training
from seepage.defenses.dp.records import per_record
from seepage.defenses.dp.records.coordinate_scales import as_tensors, public_scales, whitening
from seepage.defenses.dp.records.per_coordinate_dp import PerCoordinateDP

WHOLE = Exposure(rounds=12, local_steps=1, batch_size=0, examples=50, clients=4, cohort=4)


def public(noise_multiplier: float) -> tuple[PerCoordinateDP, dict[str, torch.Tensor]]:
    """Return the defense with scales from other records of the same kind, and those scales."""
    step = make_step(seed=1)
    scales = public_scales(step.model, step.loss, step.inputs, step.targets)
    defense = PerCoordinateDP(
        noise_multiplier=noise_multiplier, max_grad_norm=0.4, source="public", scales=scales
    )
    return defense, as_tensors("test", scales, dict(step.model.named_parameters()))


def test_a_sum_is_clipped_where_the_noise_is_even() -> None:
    (defense, scales), step = public(0.0), make_step()
    slowly, longest = torch.zeros(len(flat(scales)), dtype=torch.float64), 0.0
    for record in range(20):
        alone = replace(
            step, inputs=step.inputs[record : record + 1], targets=step.targets[record : record + 1]
        )
        whitened = flat(per_record.clipped(alone, {tuple(scales): 1e9}).total) / flat(scales)
        longest = max(longest, float(whitened.norm()))
        slowly += whitened * min(1.0, 0.4 / float(whitened.norm())) * flat(scales)
        (one,) = releases(defense, alone, 1)
        assert float((flat(one) / flat(scales)).norm()) <= 0.4 * (1 + 1e-6)
    assert longest > 2 * 0.4
    torch.testing.assert_close(flat(releases(defense, step, 1)[0]), slowly, rtol=1e-4, atol=1e-5)


def test_the_noise_is_even_in_the_whitened_space_alone() -> None:
    (defense, given), step = public(1.5), make_step(batch=4)
    scales = flat(given)
    assert float(scales.max() / scales.min()) > 2
    assert float(scales.square().mean()) == pytest.approx(1.0, rel=1e-4)
    found = torch.stack([flat(one) for one in releases(defense, step, 400)])
    freedom = len(found) - 1
    whitened = found.var(0) * freedom / (1.5 * 0.4 * scales) ** 2
    low, high = chi2.ppf([1e-6 / len(scales), 1 - 1e-6 / len(scales)], freedom)
    assert low < float(whitened.min()) <= float(whitened.max()) < high
    (record,) = defense.privacy(WHOLE)
    assert record.mu == pytest.approx(sqrt(12) / 1.5)


def test_the_naive_form_is_refused_with_its_true_epsilon() -> None:
    rng = np.random.default_rng(0)
    rng.uniform(size=12 + 6 * 200_000)
    noise = np.exp(rng.normal(0, 1, 1000))
    noise /= mu_of(1.5, 1e-5) * noise.mean()
    with pytest.raises(RefusedError, match=r"says epsilon 1\.5 .* has epsilon 360"):
        PerCoordinateDP(source="public", scales={"weight": tuple(noise)}, clipping="isotropic")
    with pytest.raises(RefusedError, match="epsilon inf"):
        PerCoordinateDP(clipping="isotropic")
    # Equal noise is not naive.
    PerCoordinateDP(source="public", scales={"": 2.0}, clipping="isotropic")


def test_scales_follow_noisy_releases_and_nothing_else() -> None:
    defense = PerCoordinateDP(noise_multiplier=0.01, max_grad_norm=5.0)
    step = make_step()
    (first,) = releases(defense, step, 1)
    carried = dict(step.carried)
    # The first release was isotropic, so its square less the noise is all that is known.
    noise = (0.01 * 5.0) ** 2
    for name, value in first.items():
        square = (value.square() - noise) / step.expected_batch**2
        torch.testing.assert_close(carried[f"per-coordinate-dp.square:{name}"], square)
    # What a step adds to what it carries depends on the data through the release alone.
    (again,) = releases(defense, replace(step, carried=dict(carried)), 1, seed=1)
    expected = whitening(
        {n: carried[f"per-coordinate-dp.square:{n}"].clamp(min=0).sqrt() for n in first}, 0.1
    )
    quiet = replace(defense, noise_multiplier=0.0)
    (center,) = releases(quiet, replace(step, carried=dict(carried)), 1)
    even = (flat(again) - flat(center)) / flat(expected) / (0.01 * 5.0)
    low, high = chi2.ppf([5e-7, 1 - 5e-7], len(even))
    assert low < float(even.square().sum()) < high


def test_a_budgeted_estimate_is_bounded_noised_and_paid_for() -> None:
    defense = PerCoordinateDP(
        noise_multiplier=1.5, source="budgeted", estimate_steps=3, estimate_noise=2.0
    )
    (record,) = defense.privacy(WHOLE)
    assert record.mu == pytest.approx(sqrt(12 / 1.5**2 + 3 / 2.0**2))
    assert record.releases == 12
    assert record.per_release_epsilon == pytest.approx(epsilon_of(hypot(1 / 1.5, 1 / 2.0), 1e-5))
    (short,) = defense.privacy(replace(WHOLE, rounds=2))
    assert short.mu == pytest.approx(sqrt(2 / 1.5**2 + 2 / 2.0**2))
    # One record more moves the estimate by a vector of length at most 1.
    quiet = replace(defense, estimate_noise=1e-9)
    estimates: list[torch.Tensor] = []
    step = make_step()
    for kept in (20, 19):
        one = replace(step, inputs=step.inputs[:kept], targets=step.targets[:kept], carried={})
        releases(quiet, one, 1)
        estimates.append(one.carried["per-coordinate-dp.shares"])
    moved = estimates[0] - estimates[1]
    assert float(moved.sum()) == pytest.approx(1.0)
    assert 0.1 < float(moved.norm()) <= 1.0
    # Noise of the stated size lies on it, and after three steps it is final.
    drawn: list[torch.Tensor] = []
    for seed in range(200):
        one = replace(step, carried={})
        releases(defense, one, 1, seed=seed)
        drawn.append(one.carried["per-coordinate-dp.shares"] - estimates[0])
    low, high = chi2.ppf([5e-7, 1 - 5e-7], 200 * 4)
    assert low < float(torch.stack(drawn).square().sum()) / 2.0**2 < high
    one = replace(step, carried={})
    releases(defense, one, 3)
    final = one.carried["per-coordinate-dp.shares"].clone()
    releases(defense, one, 2)
    assert torch.equal(final, one.carried["per-coordinate-dp.shares"])


def test_scales_that_do_not_fit_the_model_are_refused() -> None:
    for scales, said in (({"0.": 1.0}, "has no scale"), ({"": 1.0, "0.bias": (1.0,)}, "1 scales")):
        defense = PerCoordinateDP(source="public", scales=scales)
        with pytest.raises(RefusedError, match=said):
            defense.check(mlp(), Training())
