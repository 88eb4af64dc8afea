"""Noise that differs by coordinate, with a sensitivity that is right.

Every record's gradient is clipped where the noise is even: ||g / a|| <= C. Their sum gets noise
a * N(0, (z C)^2 I), so that in the space of g / a it is DP-SGD with noise multiplier z exactly.
The scales a must not come from the data that they protect, unless their estimate is paid for:
they are public, follow from earlier noisy releases, or from a noisy estimate by tensor of the
share that it has of each record's squared norm. Those shares sum to 1, so a record moves them
by at most 1; with noise z_e they and the sum are one release of (z^-2 + z_e^-2)^(-1/2).

Clipping isotropically and adding such noise is refused: its epsilon is that of the quietest
coordinate, and not of the mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot
from typing import TYPE_CHECKING

import torch

from ....accounting.gaussian import epsilon_of
from ....accounting.per_coordinate import whitened_sensitivity
from ....core.errors import RefusedError, UsageError, require_least
from ....core.names import nearest
from ...cards import card_in_force
from ..bounding import require_number
from . import per_record, step_accounting
from .coordinate_scales import Scales, as_tensors, every_scale, scales_of, whitening
from .poisson_steps import PoissonStepsDefense
from .record_groups import clipping_scale
from .record_level import noised_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from ....core.cards import DefenseCard
    from ....core.defense import LocalStep
    from ....core.privacy import Exposure
    from ....core.task import Training
    from ....core.views import Update

SOURCES = ("noisy-releases", "public", "budgeted")
CLIPPINGS = ("whitened", "isotropic")
_QUOTED_DELTA = 1e-5
_SEEN = "per-coordinate-dp.steps"
_SQUARE = "per-coordinate-dp.square:"
_SHARES = "per-coordinate-dp.shares"


@dataclass(frozen=True, kw_only=True)
class PerCoordinateDP(PoissonStepsDefense):
    """DP-SGD in a space where coordinates are scaled, at the level of records.

    Fields
    ------
    noise_multiplier : standard deviation of the noise / `max_grad_norm` in that space, >= 0
    max_grad_norm : L2 norm that a record's gradient over the scales is clipped to, > 0
    clipping : `whitened`; `isotropic` is refused unless all scales are the same
    source : where the scales come from: `noisy-releases` (earlier ones), `public` (`scales`) or
        `budgeted` (a noisy estimate by tensor in the first steps)
    scales : `public`: prefix of parameter names -> scale, or name -> one for each value
    memory : `noisy-releases`: weight of the past in the mean of squares, in [0, 1)
    floor : least size of a coordinate, in mean sizes, > 0
    estimate_steps : `budgeted`: steps that estimate, >= 1
    estimate_noise : `budgeted`: standard deviation of the noise on the sum of shares, > 0
    """

    noise_multiplier: float = 1.0
    max_grad_norm: float = 1.0
    clipping: str = "whitened"
    source: str = "noisy-releases"
    scales: Scales | None = None
    memory: float = 0.9
    floor: float = 0.1
    estimate_steps: int = 5
    estimate_noise: float = 5.0

    def __post_init__(self) -> None:
        owner = "per-coordinate-dp"
        require_number(f"{owner}: noise_multiplier", self.noise_multiplier, positive=False)
        for name in ("max_grad_norm", "floor", "estimate_noise"):
            require_number(f"{owner}: {name}", getattr(self, name), positive=True)
        require_least(owner, self, estimate_steps=1)
        for name, known in (("source", SOURCES), ("clipping", CLIPPINGS)):
            if (value := getattr(self, name)) not in known:
                raise UsageError(f"{owner}: {name} is {value!r}{nearest(str(value), known)}")
        if not 0 <= self.memory < 1:
            raise UsageError(f"{owner}: memory is {self.memory}; use a number from 0 to below 1")
        if (self.source == "public") != bool(self.scales):
            raise UsageError(f"{owner}: scales are given with source 'public', and only then")
        if self.scales:
            object.__setattr__(self, "scales", scales_of(owner, self.scales))
        if self.clipping == "isotropic":
            self._refuse_unequal_noise()

    @property
    def card(self) -> DefenseCard:
        """The public card with this instance's settings."""
        return card_in_force("per-coordinate-dp", self)

    def check(self, model: nn.Module, training: Training) -> None:
        """Raise `RefusedError` for what the noise would not cover, or has no scale."""
        super().check(model, training)
        if self.scales:
            as_tensors("per-coordinate-dp", self.scales, per_record.trainable(model))

    def gradient(self, step: LocalStep, rng: torch.Generator) -> Update:
        """Return the noised mean of the clipped gradients, by trainable parameter.

        An empty batch gives pure noise. Raises `RefusedError` where a gradient is not
        finite, or where model and loss do not work record by record.
        """
        self.require_batch(step)
        scales = self._scales(step)
        total: dict[str, Tensor] = {}
        shares = torch.zeros(len(scales), dtype=torch.float64)
        for gradients in per_record.chunks(step) if len(step.inputs) else ():
            length = per_record.norms({n: g / scales[n] for n, g in gradients.items()})
            scale = clipping_scale(length, self.max_grad_norm)
            per_record.add_scaled(total, gradients, scale)
            if self.source == "budgeted":
                shares += _shares(gradients)
        std = self.noise_multiplier * self.max_grad_norm
        deviations = {name: std * scale for name, scale in scales.items()}
        released = noised_mean(step, total, deviations, rng)
        if self.source == "noisy-releases":
            self._note_release(step, released, deviations)
        elif self.source == "budgeted" and _seen(step) < self.estimate_steps:
            noise = torch.randn(
                len(shares), generator=rng, device=rng.device, dtype=torch.float64
            ).cpu()
            before = step.carried.get(_SHARES, torch.zeros_like(shares))
            step.carried[_SHARES] = before + shares + self.estimate_noise * noise
        step.carried[_SEEN] = torch.tensor(_seen(step) + 1)
        return released

    def releases(self, exposure: Exposure) -> step_accounting.Releases:
        """Return how many steps there are of each noise multiplier over sensitivity."""
        steps, z = exposure.rounds * exposure.local_steps, self.noise_multiplier
        paid = min(self.estimate_steps, steps) if self.source == "budgeted" else 0
        if not paid or not z:
            return {z: steps}
        joint = 1 / hypot(1 / z, 1 / self.estimate_noise)
        return {joint: paid, z: steps - paid} if steps > paid else {joint: paid}

    def mechanism(self, exposure: Exposure) -> str:  # noqa: ARG002
        """Return what was run, with its noise, in words."""
        paid = (
            f", estimated in {self.estimate_steps} steps with noise {self.estimate_noise:g}"
            if self.source == "budgeted"
            else ""
        )
        return (
            f"per-coordinate noise, multiplier {self.noise_multiplier:g}, gradients over scales "
            f"({self.source}{paid}) clipped to {self.max_grad_norm:g}"
        )

    def _refuse_unequal_noise(self) -> None:
        """Raise `RefusedError`, with the true epsilon if known, unless all scales are the same."""
        fix = "use clipping 'whitened'"
        if not self.scales:
            raise RefusedError(
                f"per-coordinate-dp: clipped isotropically, noise on scales from {self.source} has "
                f"no bound but that of the least scale that could be: epsilon inf; {fix}"
            )
        values = every_scale(self.scales)
        if min(values) == max(values):
            return
        noise = [self.noise_multiplier * value for value in values]
        mean = sum(noise) / len(noise)
        said = epsilon_of(1 / mean if mean else float("inf"), _QUOTED_DELTA)
        true = epsilon_of(whitened_sensitivity(noise, max_norm=1.0), _QUOTED_DELTA)
        raise RefusedError(
            f"per-coordinate-dp: clipped isotropically, a release whose mean noise says epsilon "
            f"{said:.3g} (delta {_QUOTED_DELTA:g}) has epsilon {true:.3g}, that of the coordinate "
            f"with the least noise; {fix}"
        )

    def _scales(self, step: LocalStep) -> dict[str, Tensor]:
        parameters = {n: p.detach() for n, p in per_record.trainable(step.model).items()}
        if self.scales:
            return as_tensors("per-coordinate-dp", self.scales, parameters)
        if self.source == "budgeted" and _SHARES in step.carried:
            shares = step.carried[_SHARES].clamp(min=0)
            sizes = {
                name: torch.full_like(p, float((share / p.numel()).sqrt()))
                for (name, p), share in zip(parameters.items(), shares, strict=True)
            }
            return whitening(sizes, self.floor)
        if self.source == "noisy-releases" and _seen(step):
            squares = {name: step.carried[_SQUARE + name] for name in parameters}
            return whitening({n: s.clamp(min=0).sqrt() for n, s in squares.items()}, self.floor)
        return {name: torch.ones_like(p) for name, p in parameters.items()}

    def _note_release(
        self, step: LocalStep, released: Mapping[str, Tensor], deviations: Mapping[str, Tensor]
    ) -> None:
        """Carry on the mean of the releases' squares less the noise's, newer ones weighing more."""
        seen = _seen(step)
        weight = (1 - self.memory) / (1 - self.memory ** (seen + 1))
        for name, value in released.items():
            square = value.square() - (deviations[name] / step.expected_batch).square()
            before = step.carried[_SQUARE + name] if seen else square
            step.carried[_SQUARE + name] = before + weight * (square - before)


def _seen(step: LocalStep) -> int:
    return int(step.carried.get(_SEEN, torch.tensor(0)))


def _shares(gradients: Mapping[str, Tensor]) -> Tensor:
    """Return the sum over records of each tensor's share of their squared norm, `[tensors]`."""
    squares = torch.stack(
        [g.reshape(len(g), -1).double().square().sum(1) for g in gradients.values()]
    )
    whole = squares.sum(0).clamp(min=torch.finfo(torch.float64).tiny)
    return (squares / whole).sum(1)
