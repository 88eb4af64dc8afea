"""DP-SGD: every record's gradient is clipped, and their sum is noised, in each local step.

A step releases (sum_i g_i min(1, C / ||g_i||) + N(0, (z C)^2 I)) / B, with B the expected
size of a Poisson batch (Abadi et al. 2016, arXiv 1607.00133, algorithm 1). Adding or
removing a record moves the sum by at most C.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import hypot, isfinite
from typing import TYPE_CHECKING

import torch

from ....core.errors import UsageError
from ....core.names import nearest
from ...cards import card_in_force
from .. import quantile_clipping
from ..bounding import require_number
from . import noise_by_layer, noise_schedule, record_groups, step_accounting
from .per_record import trainable
from .poisson_steps import PoissonStepsDefense
from .record_level import clipped, noised_mean

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ....core.cards import DefenseCard
    from ....core.defense import LocalStep
    from ....core.privacy import Exposure
    from ....core.task import Training
    from ....core.views import Update

CLIPPINGS = ("fixed", "adaptive", "per-layer")
_NORM = "dp-sgd.clipping-norm"


@dataclass(frozen=True, kw_only=True)
class DPSGD(PoissonStepsDefense):
    """Differentially private SGD at each client, at the level of records.

    Fields
    ------
    noise_multiplier : standard deviation of the noise / clipping norm, >= 0; with adaptive
        clipping of the whole step, so that the sum's own noise is larger
    max_grad_norm : L2 norm that a record's gradient is clipped to, > 0; with adaptive clipping
        at first
    clipping : `fixed`, `adaptive` (the norm follows a quantile of the gradients' norms, by a
        noisy count that is accounted for) or `per-layer` (each layer to its share of the norm)
    target_quantile : `adaptive`: share of gradients to leave unclipped, in (0, 1)
    clip_learning_rate : `adaptive`: step of the norm's logarithm, > 0
    count_noise : `adaptive`: standard deviation of the noise on the count of unclipped
        gradients, in records; above half the noise multiplier
    layer_split : `per-layer`: shares of the squared norm by `dimension`, or `equal`
    noise_by_layer : prefix of parameter names -> factor on the noise's standard deviation there
    noise_schedule : (first step, factor on the noise multiplier) of each stage of the job
    """

    noise_multiplier: float = 1.0
    max_grad_norm: float = 1.0
    clipping: str = "fixed"
    target_quantile: float = 0.5
    clip_learning_rate: float = 0.2
    count_noise: float = 10.0
    layer_split: str = "dimension"
    noise_by_layer: Mapping[str, float] | None = None
    noise_schedule: noise_schedule.Schedule = ()

    def __post_init__(self) -> None:
        require_number("dp-sgd: noise_multiplier", self.noise_multiplier, positive=False)
        for name in ("max_grad_norm", "clip_learning_rate", "count_noise"):
            require_number(f"dp-sgd: {name}", getattr(self, name), positive=True)
        _one_of("clipping", self.clipping, CLIPPINGS)
        _one_of("layer_split", self.layer_split, record_groups.SPLITS)
        if not 0 < self.target_quantile < 1:
            raise UsageError(
                f"dp-sgd: target_quantile is {self.target_quantile}; use a number between 0 and 1"
            )
        schedule = noise_schedule.schedule_of("dp-sgd", self.noise_schedule)
        object.__setattr__(self, "noise_schedule", schedule)
        if self.noise_by_layer is not None:
            factors = noise_by_layer.factors_of("dp-sgd", self.noise_by_layer)
            object.__setattr__(self, "noise_by_layer", factors)
        if self.clipping == "adaptive":
            most = self.noise_multiplier * max((f for _, f in schedule), default=1.0)
            if not isfinite(quantile_clipping.sum_multiplier(most, self.count_noise)):
                raise UsageError(
                    f"dp-sgd: count_noise {self.count_noise:g} leaves nothing of noise multiplier "
                    f"{most:g} for the gradients; use more than {most / 2:g}"
                )

    @property
    def card(self) -> DefenseCard:
        """The public card with this instance's settings."""
        return card_in_force("dp-sgd", self)

    def check(self, model: nn.Module, training: Training) -> None:
        """Raise `RefusedError` for what the noise would not cover, or is said of no layer."""
        super().check(model, training)
        noise_by_layer.require_found("dp-sgd", self._factors, trainable(model))

    def gradient(self, step: LocalStep, rng: torch.Generator) -> Update:
        """Return the noised mean of the clipped gradients, by trainable parameter.

        An empty batch gives pure noise. Raises `RefusedError` where a gradient is not
        finite, or where model and loss do not work record by record.
        """
        self.require_batch(step)
        norm = float(step.carried.get(_NORM, self.max_grad_norm))
        sizes = {name: p.numel() for name, p in trainable(step.model).items()}
        found = clipped(step, self._groups(sizes, norm))
        std = self._sum_multiplier(self._multiplier(step.number)) * norm
        deviations = {name: std * noise_by_layer.factor_of(self._factors, name) for name in sizes}
        mean = noised_mean(step, found.total if found else {}, deviations, rng)
        if self.clipping == "adaptive":
            lengths = found.lengths[0] if found else None
            step.carried[_NORM] = self._next_norm(norm, lengths, step.expected_batch, rng)
        return mean

    def releases(self, exposure: Exposure) -> step_accounting.Releases:
        """Return how many steps there are of each noise multiplier over sensitivity."""
        sensitivity = self._sensitivity(exposure)
        steps = exposure.rounds * exposure.local_steps
        releases: dict[float, int] = {}
        for factor, count in noise_schedule.steps_by_factor(self.noise_schedule, steps).items():
            multiplier = self._sum_multiplier(self.noise_multiplier * factor)
            mu = sensitivity / multiplier if multiplier else 0.0
            if mu and self.clipping == "adaptive":
                mu = hypot(mu, 1 / (2 * self.count_noise))
            whole = self.noise_multiplier * factor if sensitivity == 1 else 1 / mu if mu else 0.0
            releases[whole] = releases.get(whole, 0) + count
        return releases

    def mechanism(self, exposure: Exposure) -> str:
        """Return what was run, with its noise, in words."""
        said = [f"DP-SGD, noise multiplier {self.noise_multiplier:g}"]
        if self.noise_schedule:
            said.append(f"on a schedule of {len(self.noise_schedule)} stages")
        said.append(f"gradients clipped to {self.max_grad_norm:g}")
        if self.clipping == "adaptive":
            said.append(
                f"at first, then at the {self.target_quantile:g} quantile by a count noised with "
                f"{self.count_noise:g}"
            )
        if self.clipping == "per-layer":
            said.append(f"by layer ({self.layer_split})")
        if self._factors:
            exact = self.clipping != "per-layer" or exposure.parameters
            said.append(f"noise by layer{'' if exact else ' (bounded by the least factor)'}")
        return ", ".join(said)

    @property
    def _factors(self) -> Mapping[str, float]:
        return self.noise_by_layer or {}

    def _groups(self, sizes: Mapping[str, int], norm: float) -> record_groups.Groups:
        if self.clipping == "per-layer":
            return record_groups.by_layer(sizes, norm, self.layer_split)
        return record_groups.flat(sizes, norm)

    def _multiplier(self, number: int) -> float:
        return self.noise_multiplier * noise_schedule.factor_at(self.noise_schedule, number)

    def _sum_multiplier(self, multiplier: float) -> float:
        """Return the noise multiplier of the sum alone, given that of the step."""
        if self.clipping == "adaptive":
            return quantile_clipping.sum_multiplier(multiplier, self.count_noise)
        return multiplier

    def _next_norm(
        self, norm: float, lengths: Tensor | None, expected: int, rng: torch.Generator
    ) -> Tensor:
        share = quantile_clipping.unclipped_share(
            lengths, norm, expected=expected, count_noise=self.count_noise, rng=rng
        )
        moved = quantile_clipping.moved_on(
            norm,
            share,
            quantile=self.target_quantile,
            rate=self.clip_learning_rate,
            start=self.max_grad_norm,
        )
        return torch.tensor(moved, dtype=torch.float64)

    def _sensitivity(self, exposure: Exposure) -> float:
        """Return what noise by layer multiplies the mu of a step's sum by.

        Exact where the exposure says what the model's parameters are, or clipping is of the
        whole gradient; else a bound, of all the norm in the least noised layer.
        """
        if not self._factors:
            return 1.0
        if self.clipping == "per-layer" and exposure.parameters:
            groups = self._groups(exposure.parameters, 1.0)
            return noise_by_layer.sensitivity(self._factors, groups)
        return 1 / noise_by_layer.least_factor(self._factors)


def _one_of(setting: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UsageError(f"dp-sgd: {setting} is {value!r}{nearest(str(value), known)}")
