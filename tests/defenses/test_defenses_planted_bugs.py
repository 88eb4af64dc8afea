"""Broken variants of DP-SGD, each refuted by what it releases; the sound one passes every test.

A test sees releases with a record and without it, and what the defense claims. It never looks
inside. Each has a chance of about 1e-6 to refute a sound defense.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isfinite, log, sqrt
from typing import ClassVar

import numpy as np
import pytest
import torch
from defense_steps import flat, make_step, releases
from scipy.stats import chi2, norm
from torch import Tensor, nn
from torch.nn import functional as F

from seepage.core.defense import LocalStep
from seepage.core.errors import RefusedError
from seepage.core.intervals import clopper_pearson
from seepage.core.privacy import Exposure
from seepage.core.task import ClientData, Records, Task, Training
from seepage.defenses.dp.records.dp_sgd import DPSGD
from seepage.fl.engine import train

RARE = 1e-6
Z, C, COUNT = 0.8, 0.5, 400


class Shifted(nn.Module):
    """A linear layer, and a bias that is one number without an axis."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 3)
        self.shift = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) + self.shift * torch.tensor([1.0, 0.0, -1.0])


def with_and_without(loss: Callable[[Tensor, Tensor], Tensor]) -> tuple[LocalStep, LocalStep]:
    """Return a step and the same without its longest record, of a label that the model doubts."""
    step = make_step(Shifted, 9, loss)
    step.targets[-1] = step.model(step.inputs[-1]).argmin()
    less = replace(step, inputs=step.inputs[:-1], targets=step.targets[:-1])
    return step, less


def refutation(defense: DPSGD, loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy) -> str:
    """Return what releases show against the claim (noise Z C, one record moves at most C)."""
    step, less = with_and_without(loss)
    found, lacking = (releases(defense, s, COUNT, seed=i) for i, s in enumerate((step, less)))
    for name in found[0]:
        values = torch.stack([one[name].double().flatten() for one in lacking])
        if not bool(torch.isfinite(values).all()):
            return f"{name} is not finite"
        squares = float((values - values.mean(0)).square().sum()) / (Z * C) ** 2
        low, high = chi2.ppf([RARE / 2, 1 - RARE / 2], values[0].numel() * (COUNT - 1))
        if not low < squares < high:
            return f"noise on {name}"
    one, other = (torch.stack([flat(r) for r in rs]) for rs in (found, lacking))
    if not bool(torch.isfinite(one).all()):
        return "a record that is there makes a release not finite"
    # Half of the releases choose the direction, the other half test along it.
    half = COUNT // 2
    way = (one[:half].mean(0) - other[:half].mean(0)).double()
    way /= way.norm()
    moved = float((one[half:].mean(0) - other[half:].mean(0)).double() @ way)
    if moved - norm.ppf(1 - RARE) * Z * C * sqrt(2 / half) > C:
        return "one record moves the release too far"
    return ""


def total_of(step: LocalStep, loss: Callable[[Tensor, Tensor], Tensor]) -> dict[str, Tensor]:
    """Return the unclipped sum of gradients."""
    parameters = dict(step.model.named_parameters())
    loss_of_batch = loss(step.model(step.inputs), step.targets) * len(step.inputs)
    parts = torch.autograd.grad(loss_of_batch, list(parameters.values()))
    return dict(zip(parameters, parts, strict=True))


@dataclass(frozen=True, kw_only=True)
class NoiseHalved(DPSGD):
    """Draws half of the noise that it claims."""

    def gradient(self, step: LocalStep, rng: torch.Generator) -> dict[str, Tensor]:
        return dict(DPSGD(noise_multiplier=Z / 2, max_grad_norm=C).gradient(step, rng))


@dataclass(frozen=True, kw_only=True)
class ClipSkipped(DPSGD):
    """Adds the right noise to gradients of any length."""

    def gradient(self, step: LocalStep, rng: torch.Generator) -> dict[str, Tensor]:
        empty = replace(step, inputs=step.inputs[:0], targets=step.targets[:0])
        noise = super().gradient(empty, rng)
        total = total_of(step, step.loss)
        return {name: n + total[name] / step.expected_batch for name, n in noise.items()}


@dataclass(frozen=True, kw_only=True)
class FunctionUnclipped(DPSGD):
    """Clips a loss that is a function by its mean: once for all records, as opacus would."""

    def gradient(self, step: LocalStep, rng: torch.Generator) -> dict[str, Tensor]:
        if isinstance(step.loss, nn.Module):
            return dict(super().gradient(step, rng))
        total = total_of(step, step.loss)
        mean = float(flat(total).norm()) / len(step.inputs)
        scale = min(1.0, C / mean)
        empty = replace(step, inputs=step.inputs[:0], targets=step.targets[:0])
        noise = super().gradient(empty, rng)
        return {n: g + scale * total[n] / step.expected_batch for n, g in noise.items()}


@dataclass(frozen=True, kw_only=True)
class ZeroDimensionalBare(DPSGD):
    """Forgets the noise on parameters that have no axis."""

    def gradient(self, step: LocalStep, rng: torch.Generator) -> dict[str, Tensor]:
        noised = super().gradient(step, rng)
        bare = DPSGD(noise_multiplier=0.0, max_grad_norm=C).gradient(step, rng)
        return {name: g if g.ndim else bare[name] for name, g in noised.items()}


@dataclass(frozen=True, kw_only=True)
class NotANumberKept(DPSGD):
    """Lets a coordinate that is not finite through, with the rest of the record clipped."""

    def gradient(self, step: LocalStep, rng: torch.Generator) -> dict[str, Tensor]:
        spoiled = bool(step.inputs.isnan().any())
        whole = replace(step, inputs=step.inputs.nan_to_num())
        released = dict(super().gradient(whole, rng))
        if spoiled:
            released["linear.weight"] = released["linear.weight"].clone()
            released["linear.weight"][0, 0] = float("nan")
        return released


SOUND = DPSGD(noise_multiplier=Z, max_grad_norm=C)


@pytest.mark.parametrize(
    "loss", [F.cross_entropy, nn.CrossEntropyLoss()], ids=["function", "module"]
)
@pytest.mark.parametrize("clipping", ["fixed", "per-layer"])
def test_the_sound_defense_is_not_refuted(
    loss: Callable[[Tensor, Tensor], Tensor], clipping: str
) -> None:
    assert refutation(replace(SOUND, clipping=clipping), loss) == ""


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (NoiseHalved, "noise on"),
        (ClipSkipped, "too far"),
        (FunctionUnclipped, "too far"),
        (ZeroDimensionalBare, "noise on shift"),
    ],
)
def test_a_planted_bug_is_refuted_by_its_releases(broken: type[DPSGD], said: str) -> None:
    assert said in refutation(broken(noise_multiplier=Z, max_grad_norm=C))


def test_a_bug_that_spares_modules_shows_with_functions_alone() -> None:
    broken = FunctionUnclipped(noise_multiplier=Z, max_grad_norm=C)
    assert refutation(broken, nn.CrossEntropyLoss()) == ""


def test_a_coordinate_that_is_not_finite_tells_that_the_record_is_there() -> None:
    step, less = with_and_without(F.cross_entropy)
    step.inputs[-1, 2] = float("nan")

    def seen(defense: DPSGD, at: LocalStep) -> list[bool]:
        """Return for some releases whether a value is not finite."""
        return [not isfinite(float(flat(r).sum())) for r in releases(defense, at, 40)]

    broken = NotANumberKept(noise_multiplier=10.0, max_grad_norm=C)
    hits, alarms = sum(seen(broken, step)), sum(seen(broken, less))
    least, most = clopper_pearson(hits, 40, 1 - 2 * RARE)[0], clopper_pearson(alarms, 40)[1]
    once = Exposure(rounds=1, local_steps=1, batch_size=0, examples=9, clients=1, cohort=1)
    (record,) = broken.privacy(once)
    assert log((least - record.delta) / most) > record.total_epsilon
    # The sound one releases nothing at all, whoever asks.
    with pytest.raises(RefusedError, match="nothing is released"):
        SOUND.gradient(step, torch.Generator())


@dataclass(frozen=True, kw_only=True)
class Shuffled(DPSGD):
    """Claims the amplification of Poisson batches, and takes shuffled ones of a fixed size."""

    poisson: ClassVar[bool] = False


@pytest.mark.parametrize("sampler", [DPSGD, Shuffled])
def test_shuffled_batches_sold_as_poisson_show_in_their_sizes(sampler: type[DPSGD]) -> None:
    # Every record has the gradient 1, so that a release is the batch's size and a little noise.
    n, size, rounds = 20, 5, 300
    data = Records(inputs=torch.ones(n, 1), targets=torch.zeros(n), rows=torch.arange(n))
    task = Task(
        name="counting",
        build=lambda _: nn.Linear(1, 1, bias=False),
        loss=lambda outputs, targets: (outputs[:, 0] + 0 * targets).mean(),
        clients=(ClientData(name="only", train=data, holdout=data),),
        auxiliary=data,
        training=Training(rounds=rounds, batch_size=size, lr=1.0),
        classes=0,
    )
    defense = sampler(noise_multiplier=0.01, max_grad_norm=1.0)
    history = train(task, defenses=[defense], seed=0, record=range(rounds))
    sizes = [-size * float(r.released[0]["weight"]) for r in history.rounds.values()]
    squares = float(np.square(np.array(sizes) - size).sum()) / (size * (1 - size / n))
    low, high = chi2.ppf([RARE / 2, 1 - RARE / 2], rounds)
    assert (low < squares < high) == sampler.poisson
    (record,) = defense.privacy(
        Exposure(rounds=1, local_steps=1, batch_size=size, examples=n, clients=1, cohort=1)
    )
    assert "Poisson sampling at rate 0.25" in record.mechanism
