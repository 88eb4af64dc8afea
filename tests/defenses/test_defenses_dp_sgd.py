"""DP-SGD against a slow loop over records, on every path and for every kind of loss."""

import pickle
from collections.abc import Callable
from dataclasses import replace
from math import sqrt
from types import ModuleType

import pytest
import torch
from defense_steps import Loss, make_step, mlp
from scipy.stats import chi2
from torch import Tensor, nn
from torch.nn import functional as F

from seepage.accounting.bounds import GaussianProfile
from seepage.accounting.gaussian import sampled_epsilon_of
from seepage.core.defense import LocalStep
from seepage.core.errors import RefusedError
from seepage.core.privacy import Exposure
from seepage.core.seeds import torch_rng
from seepage.core.task import Training
from seepage.defenses.dp.records import ghost_clipping, per_record
from seepage.defenses.dp.records.dp_sgd import DPSGD

TRAINING = Training()


class Tied(nn.Module):
    """Uses one layer's weight outside that layer, where hooks do not look."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(6, 6)
        self.out = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.tanh(self.hidden(x)) @ self.hidden.weight)


class Mixing(nn.Module):
    """Centers a batch on its mean: a normalization without buffers."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(x - x.mean(0, keepdim=True))


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (1, 2, 3)),
        nn.Conv2d(1, 4, 3, padding=1),
        nn.GroupNorm(2, 4),
        nn.ReLU(),
        nn.Flatten(2),
        nn.Linear(6, 5),  # a linear layer over a sequence has a rule of its own
        nn.LayerNorm(5),
        nn.Flatten(),
        nn.Linear(20, 3),
    )


def slowly(step: LocalStep, max_norm: float) -> dict[str, Tensor]:
    """Clip and add up one record after the other."""
    parameters = dict(step.model.named_parameters())
    total = {name: torch.zeros_like(p) for name, p in parameters.items()}
    for x, y in zip(step.inputs, step.targets, strict=True):
        loss = step.loss(step.model(x[None]), y[None])
        gradients = torch.autograd.grad(loss, list(parameters.values()))
        length = sqrt(sum(float(g.double().square().sum()) for g in gradients))
        for name, gradient in zip(parameters, gradients, strict=True):
            total[name] += gradient * min(1.0, max_norm / length)
    return {name: t / step.expected_batch for name, t in total.items()}


def clipped_sum(way: ModuleType, step: LocalStep, max_norm: float) -> dict[str, Tensor]:
    """Return the sum of gradients that are clipped as a whole."""
    return way.clipped(step, {tuple(per_record.trainable(step.model)): max_norm}).total


def length(gradient: dict[str, Tensor]) -> float:
    return sqrt(sum(float(g.detach().double().square().sum()) for g in gradient.values()))


def assert_close(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        torch.testing.assert_close(tensor.detach(), second[name].detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("build", [mlp, cnn])
@pytest.mark.parametrize("batch", [1, 4, 20, 130])
def test_the_clipped_mean_is_that_of_a_slow_loop(
    build: Callable[[], nn.Module], batch: int
) -> None:
    step = make_step(build, batch)
    fast = DPSGD(noise_multiplier=0.0, max_grad_norm=0.7).gradient(step, torch_rng(0))
    assert_close(dict(fast), slowly(step, 0.7))


@pytest.mark.parametrize("build", [mlp, cnn])
def test_both_ways_agree_and_ghost_clipping_is_the_one_for_large_batches(
    build: Callable[[], nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    step = make_step(build, 40)
    by_vmap, by_ghost = clipped_sum(per_record, step, 0.7), clipped_sum(ghost_clipping, step, 0.7)
    assert_close(by_vmap, by_ghost)
    monkeypatch.setattr(per_record, "clipped", None)
    DPSGD().gradient(step, torch_rng(0))


LOSSES = {
    "module": nn.CrossEntropyLoss(),
    "function": F.cross_entropy,
    "lambda": lambda outputs, targets: (
        -F.log_softmax(outputs, 1).gather(1, targets[:, None]).mean()
    ),
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("way", [per_record, ghost_clipping], ids=["vmap", "ghost"])
def test_every_gradient_is_clipped_whatever_the_loss_is(loss: Loss, way: ModuleType) -> None:
    clip, most = 0.3, 0.0
    step = make_step(batch=20, loss=loss)
    for record in range(20):
        alone = replace(
            step,
            inputs=step.inputs[record : record + 1],
            targets=step.targets[record : record + 1],
        )
        clipped = length(clipped_sum(way, alone, clip))
        unclipped = length(clipped_sum(per_record, alone, 1e9))
        assert clipped <= clip
        assert clipped == pytest.approx(min(unclipped, clip), rel=1e-4)
        most = max(most, unclipped)
    assert most > 10 * clip


def test_noise_is_drawn_from_the_generator_alone_with_the_stated_deviation() -> None:
    defense = DPSGD(noise_multiplier=0.8, max_grad_norm=2.5)
    step = make_step(
        lambda: nn.Linear(6, 3000), batch=5, loss=lambda o, t: o[:, 0].mean() + 0 * t.sum()
    )
    exact = DPSGD(noise_multiplier=0.0, max_grad_norm=2.5).gradient(step, torch_rng(0))
    torch.manual_seed(1)
    first = defense.gradient(step, torch_rng(3))
    torch.manual_seed(2)
    assert_close(dict(first), dict(defense.gradient(step, torch_rng(3))))
    for name in ("weight", "bias"):
        noise = (first[name] - exact[name]) * step.expected_batch / (0.8 * 2.5)
        low, high = chi2.ppf([5e-7, 1 - 5e-7], noise.numel())
        assert low < float(noise.detach().double().square().sum()) < high
    assert not torch.equal(first["weight"], defense.gradient(step, torch_rng(4))["weight"])


def test_an_empty_poisson_batch_gives_noise_alone_over_the_expected_size() -> None:
    def release(seed: int, expected: int) -> dict[str, Tensor]:
        step = replace(make_step(batch=0, seed=seed), expected_batch=expected)
        return dict(DPSGD(noise_multiplier=2.0).gradient(step, torch_rng(0)))

    released = release(seed=0, expected=8)
    assert released.keys() == dict(mlp().named_parameters()).keys()
    assert length(released) > 0
    assert_close(released, release(seed=5, expected=8))  # other parameters, the same noise
    assert_close(released, {n: g / 4 for n, g in release(seed=0, expected=2).items()})


@pytest.mark.parametrize("build", [Tied, Mixing])
def test_models_that_hooks_misread_run_record_by_record(build: Callable[[], nn.Module]) -> None:
    step = make_step(build, 20)
    assert not ghost_clipping.trusts(step)
    fast = DPSGD(noise_multiplier=0.0, max_grad_norm=0.7).gradient(step, torch_rng(0))
    assert_close(dict(fast), slowly(step, 0.7))


def test_models_that_hooks_read_well_are_trusted_and_keep_no_trace() -> None:
    for build in (mlp, cnn, lambda: nn.Sequential(nn.Linear(6, 5), nn.Dropout(), nn.Linear(5, 3))):
        step = make_step(build, 20)
        before = set(pickle.dumps(step.model)), torch.get_rng_state()
        attributes = [set(vars(m)) for m in step.model.modules()]
        assert ghost_clipping.trusts(step)
        assert torch.equal(torch.get_rng_state(), before[1])
        clipped_sum(ghost_clipping, step, 1.0)
        assert [set(vars(m)) for m in step.model.modules()] == attributes
        for module in step.model.modules():
            assert not module._forward_hooks
            assert not module._backward_hooks
        for parameter in step.model.parameters():
            assert parameter.grad is None
            assert not vars(parameter)
        step.model.eval()
        assert not ghost_clipping.trusts(step)


def test_frozen_parameters_are_left_out() -> None:
    step = make_step(batch=20)
    step.model[0].weight.requires_grad_(False)
    for way in (per_record, ghost_clipping):
        assert clipped_sum(way, step, 1.0).keys() == {"0.bias", "2.weight", "2.bias"}
    released = DPSGD().gradient(step, torch_rng(0))
    assert released.keys() == {"0.bias", "2.weight", "2.bias"}


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        (nn.CrossEntropyLoss(weight=torch.tensor([1.0, 5.0, 0.1])), "not the mean"),
        (nn.CrossEntropyLoss(reduction="sum"), "not the mean"),
        (nn.CrossEntropyLoss(reduction="none"), "record"),
        (lambda outputs, targets: torch.tensor(outputs.detach().sum().item()), "record"),
        (lambda outputs, targets: F.cross_entropy(outputs, targets) * float("nan"), "NaN"),
    ],
    ids=["weighted", "sum", "none", "item", "nan"],
)
@pytest.mark.parametrize("batch", [4, 20])
def test_losses_that_cannot_be_clipped_by_record_are_refused(
    loss: Loss, said: str, batch: int
) -> None:
    with pytest.raises(RefusedError, match=said):
        DPSGD().gradient(make_step(batch=batch, loss=loss), torch_rng(0))


@pytest.mark.parametrize("batch", [4, 20])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_records_that_are_not_finite_are_refused(batch: int, value: float) -> None:
    step = make_step(batch=batch)
    step.inputs[1, 2] = value
    with pytest.raises(RefusedError, match="nothing is released"):
        DPSGD().gradient(step, torch_rng(0))


@pytest.mark.parametrize(
    ("layer", "named"),
    [
        (nn.BatchNorm1d(6), "GroupNorm"),
        (nn.BatchNorm1d(6, track_running_stats=False), "GroupNorm"),
        (nn.LSTM(6, 6), "DPLSTM"),
        (nn.MultiheadAttention(6, 2), "opacus"),
    ],
)
def test_layers_that_cannot_be_protected_are_named(layer: nn.Module, named: str) -> None:
    model = nn.Sequential(nn.Linear(6, 6), layer)
    with pytest.raises(RefusedError, match=named) as caught:
        DPSGD().check(model, TRAINING)
    assert f"layer 1 ({type(layer).__name__})" in str(caught.value)


def test_float_buffers_are_refused_and_other_models_pass() -> None:
    model = mlp()
    DPSGD().check(model, TRAINING)
    DPSGD().check(cnn(), TRAINING)
    model.register_buffer("seen", torch.zeros(3))
    with pytest.raises(RefusedError, match="buffer seen"):
        DPSGD().check(model, TRAINING)


def test_the_record_is_of_one_client_in_every_round_and_step() -> None:
    exposure = Exposure(rounds=10, local_steps=2, batch_size=4, examples=100, clients=8, cohort=2)
    defense = DPSGD(noise_multiplier=1.5)
    (record,) = defense.privacy(exposure)
    stated = (record.unit, record.adjacency, record.observer)
    assert stated == ("record", "add-remove", "honest-server")
    assert record.releases == 20
    assert record.per_release_epsilon == pytest.approx(sampled_epsilon_of(1 / 1.5, 0.04, 1e-5))
    assert "rate 0.04" in record.mechanism
    assert "not which records were sampled" in record.trust
    profile = defense.profile(exposure)
    assert profile.rero(0.01) == pytest.approx(record.rero["0.01"])
    # A record behind a view is known to be in both of its steps.
    floor = GaussianProfile(sqrt(2) / 1.5)
    assert floor.rero(0.01) < profile.given_sampled.rero(0.01) < 1.3 * floor.rero(0.01)


@pytest.mark.parametrize("batch_size", [0, 50, 100])
def test_full_batches_are_not_amplified(batch_size: int) -> None:
    exposure = Exposure(
        rounds=9, local_steps=1, batch_size=batch_size, examples=50, clients=4, cohort=4
    )
    (record,) = DPSGD(noise_multiplier=1.5).privacy(exposure)
    assert record.mu == pytest.approx(3 / 1.5)
    assert "sampled" not in record.trust
