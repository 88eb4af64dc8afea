"""Prior-aware reconstruction under noise: against dense algebra, Bayes errors and baselines."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from attack_views import LR, auxiliary, digits, draw, known, mlp, update_of, update_view
from torch import Tensor

from reproducible import rng
from seepage.attacks.api import attack_view
from seepage.attacks.inversion.learned.gaussian_prior import GaussianPrior
from seepage.attacks.inversion.learned.noisy_layer import LayerGradient, seen_record, together
from seepage.attacks.inversion.learned.smoothed_records import SmoothedRecords
from seepage.core.claims import Reconstruction
from seepage.core.defense import LocalStep
from seepage.core.views import BatchSize, HistoryView, SeenRound
from seepage.defenses.dp.local_dp import LocalDP
from seepage.defenses.dp.records.dp_sgd import DPSGD
from seepage.defenses.dp.records.per_coordinate_dp import PerCoordinateDP

X, Y = digits()
MEAN = auxiliary().inputs.mean(0, keepdim=True)
Normal = torch.distributions.MultivariateNormal


def normal(*shape: int, seed: int) -> Tensor:
    """Standard normal numbers in float64."""
    return torch.randn(*shape, generator=rng(seed), dtype=torch.float64)


def a_prior(n: int, r: int) -> GaussianPrior:
    """A prior of n coordinates with r components."""
    basis = torch.linalg.qr(normal(n, r, seed=1))[0]
    return GaussianPrior(normal(n, seed=2), basis, normal(r, seed=3).square() + 0.3, 0.15)


def dense(prior: GaussianPrior) -> Tensor:
    """Its whole covariance."""
    rest = prior.rest * torch.eye(len(prior.mean), dtype=torch.float64)
    return prior.basis @ torch.diag(prior.variances) @ prior.basis.T + rest


def test_the_wiener_filter_is_that_of_dense_algebra():
    prior, looks = a_prior(9, 4), normal(3, 9, seed=4)
    precision = normal(9, seed=5).square()
    joint = dense(prior) + torch.diag(1 / precision)
    gain = dense(prior) @ torch.linalg.inv(joint)
    found, variances = prior.posterior(looks, precision)
    torch.testing.assert_close(found, prior.mean + (looks - prior.mean) @ gain.T)
    torch.testing.assert_close(variances, (dense(prior) - gain @ dense(prior)).diagonal())
    blind = precision * torch.tensor([0.0] * 3 + [1.0] * 6)
    there = slice(3, 9)
    part = dense(prior)[:, there] @ torch.linalg.inv(joint[there, there])
    expected = prior.mean + (looks - prior.mean)[:, there] @ part.T
    torch.testing.assert_close(prior.posterior(looks, blind)[0], expected)


def test_the_denoiser_is_the_mean_of_the_mixture():
    prior, records = a_prior(5, 3), normal(7, 5, seed=6)
    precision, looks = normal(5, seed=7).square() + 0.2, normal(4, 5, seed=8)
    mixture = SmoothedRecords(prior, records, 0.3, 0.0, 0.0)
    wide = 0.3 * dense(prior) + torch.diag(1 / precision)
    weights = Normal(records, wide).log_prob(looks[:, None]).softmax(1)
    gain = 0.3 * dense(prior) @ torch.linalg.inv(wide)
    each = records + (looks[:, None] - records) @ gain.T
    torch.testing.assert_close(mixture(looks, precision), (weights[..., None] * each).sum(1))


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("rounds", [1, 3])
def test_its_error_is_the_bayes_error_of_the_linear_model(biased: bool, rounds: int):
    """With d known, E ||x - posterior mean||^2 = trace (Sigma^-1 + T |d|^2 / s^2)^-1."""
    prior, m, noise, draws = a_prior(16, 6), 8, 1.5, 250
    drive = normal(m, seed=9)
    certain = GaussianPrior(
        drive, torch.eye(m, dtype=torch.float64), torch.full((m,), 1e-12), 1e-12
    )
    clean = dense(prior).inverse() + rounds * drive.square().sum() / noise**2 * torch.eye(16)
    expected = float(clean.inverse().trace())
    x = (
        Normal(prior.mean, dense(prior)).mean
        + normal(draws, 16, seed=10) @ torch.linalg.cholesky(dense(prior)).T
    )
    rows = torch.cat([x, torch.ones(draws, 1)], dim=1) if biased else x
    total = 0.0
    for i, row in enumerate(rows):
        looks = [
            LayerGradient(
                drive[:, None] * row + noise * normal(m, len(row), seed=100 * i + t),
                torch.full((m, len(row)), noise**2, dtype=torch.float64),
                drive[None],
            )
            for t in range(rounds)
        ]
        found, _ = prior.posterior(*seen_record(together(looks), prior, certain))
        total += float((found - x[i]).square().sum()) / draws
    # Four standard errors: the error is a weighted sum of 16 squares of normals.
    assert total == pytest.approx(expected, rel=4 * (2 / (6 * draws)) ** 0.5)


def view_of(defense: Any, index: Tensor, seed: int, model: Any = None, batch: int = 1) -> Any:
    """What the server sees of one record under a defense, by the defense's own code."""
    model = model or mlp(32)
    order, x, y = rng(seed), X[index], Y[index]
    step = LocalStep(model=model, loss=F.cross_entropy, inputs=x, targets=y, expected_batch=batch)
    gradient = defense.gradient(step, order)
    update = (
        update_of(model, (x, y)) if gradient is None else {n: -LR * g for n, g in gradient.items()}
    )
    sent = defense.protect_update(update, order)
    return update_view(model, sent, BatchSize(batch), auxiliary(), defenses=(defense.card,))


def claim_on(view: Any) -> Reconstruction:
    """What the attack says of a view."""
    claim = attack_view("posterior-mean", view, rng())
    assert isinstance(claim, Reconstruction)
    return claim


def row_estimate(view: Any) -> Tensor:
    """What the layer's gradient says of the record without noise, and the best it says with it."""
    weight, bias = view.update["1.weight"], view.update["1.bias"]
    return (weight.T @ bias / (bias @ bias)).clamp(0, 1).view(1, 1, 8, 8)


def errors(defense: Any, draws: int = 12) -> tuple[float, float, float]:
    """Mean squared errors of the attack, of the row estimate and of the mean image."""
    total = torch.zeros(3)
    for seed in range(draws):
        index = draw(seed, 1)
        view = view_of(defense, index, seed)
        claim = claim_on(view)
        assert not claim.solved
        assert claim.inputs.shape == (1, 1, 8, 8)
        guesses = (claim.inputs, row_estimate(view), MEAN)
        total += torch.tensor([float((g - X[index]).square().mean()) for g in guesses])
    attack, row, mean = (total / draws).tolist()
    return attack, row, mean


def test_moderate_noise_hides_less_than_it_seems():
    for defense in (
        DPSGD(noise_multiplier=0.05, max_grad_norm=1.0),
        LocalDP(noise_multiplier=0.05, max_norm=0.05),
    ):
        attack, row, mean = errors(defense)
        assert attack < 0.25 * row
        assert attack < 0.35 * mean


def test_much_noise_leaves_the_mean_record():
    for noise, slack in ((1.0, 1.02), (30.0, 1.0001)):
        attack, _, mean = errors(DPSGD(noise_multiplier=noise, max_grad_norm=1.0))
        assert attack < slack * mean
    view = view_of(DPSGD(noise_multiplier=30.0), draw(1, 1), 1)
    claim = claim_on(view)
    assert "little more than the mean record" in claim.explanation


def test_the_quiet_coordinates_are_read():
    """Noise that is quiet on a fourth of the layer's neurons: they are for who reads the card."""
    each = [0.1 if neuron % 4 == 0 else 3.0 for neuron in range(32) for _ in range(64)]
    defense = PerCoordinateDP(
        noise_multiplier=0.05, source="public", scales={"1.weight": each, "": 1.0}
    )
    found = {True: 0.0, False: 0.0}
    for seed in range(6):
        index = draw(seed, 1)
        view = view_of(defense, index, seed)
        even = replace(defense.card, settings={**defense.card.settings, "scales": {"": 1.0}})
        for told, card in ((True, defense.card), (False, even)):
            claim = claim_on(replace(view, defenses=(card,)))
            found[told] += float((claim.inputs - X[index]).square().mean())
    assert found[True] < 0.6 * found[False]


def test_without_noise_it_is_exact_and_says_so():
    index = draw(3, 1)
    view = update_view(mlp(32), update_of(mlp(32), (X[index], Y[index])), BatchSize(1), auxiliary())
    claim = claim_on(view)
    assert claim.solved
    assert float((claim.inputs - X[index]).abs().max()) < 1e-2
    silent = update_view(
        mlp(32), {n: 0 * u for n, u in view.update.items()}, BatchSize(1), auxiliary()
    )
    claim = claim_on(silent)
    assert not claim.solved
    assert bool(claim.inputs.isfinite().all())
    pair = draw(3, 2)
    view = update_view(mlp(32), update_of(mlp(32), (X[pair], Y[pair])), BatchSize(2), auxiliary())
    claim = claim_on(view)
    assert not claim.solved
    assert "one blend" in claim.explanation


def history(defense: Any, rows: list[Tensor], seed: int = 0) -> HistoryView:
    """A client's updates of the records of one round each."""
    model = mlp(32)
    state = {n: v.detach().clone() for n, v in model.state_dict().items()}
    rounds = tuple(
        SeenRound(t, state, {2: view_of(defense, index, 50 * seed + t).update})
        for t, index in enumerate(rows)
    )
    told = known(BatchSize(1), auxiliary(), defenses=(defense.card,))
    return HistoryView(client=2, model=model, rounds=rounds, **told)


def test_rounds_of_one_record_add_up_and_others_are_kept_apart():
    defense = DPSGD(noise_multiplier=0.2, max_grad_norm=1.0)
    once, six = 0.0, 0.0
    for seed in range(6):
        index = draw(seed, 1)
        claim = claim_on(history(defense, [index] * 6, seed))
        assert "6 rounds taken for the same record" in claim.explanation
        six += float((claim.inputs - X[index]).square().mean())
        alone = claim_on(view_of(defense, index, 50 * seed))
        once += float((alone.inputs - X[index]).square().mean())
    assert six < 0.6 * once
    quiet = DPSGD(noise_multiplier=0.02, max_grad_norm=1.0)
    others = [draw(seed, 1) for seed in range(4)]
    claim = claim_on(history(quiet, others))
    assert "4 rounds taken for different records" in claim.explanation
    assert float((claim.inputs - X[torch.cat(others)]).square().mean()) < 0.03
