"""Noise whose scale is drawn from a posterior on what earlier noisy steps showed.

From each step's release r = (S + z C N) / B a client computes h = ||B r / C||^2 - d z^2, an
unbiased estimate of the signal's power ||S / C||^2. Taking the signal's amplitude for normal with
power p, an inverse-gamma prior gives p | h_1.. ~ InvGamma((n_0 + k) / 2, (n_0 p_0 + sum h) / 2),
with k and the sum fading. The next noise multiplier is noise_to_signal * sqrt(p) for a p drawn
from it, cut to [z_min, z_max]. Given earlier releases the draw does not depend on the data, so
each step is at least as private as DP-SGD with z_min: that is the worst case, and the epsilon.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from ....accounting.record import epsilon_and_accountant
from ....core.errors import UsageError
from ...cards import card_in_force
from ..bounding import require_number
from . import step_accounting
from .bayesian_dp import bayesian_epsilon
from .per_record import trainable
from .poisson_steps import PoissonStepsDefense
from .record_level import clipped, noised_mean

if TYPE_CHECKING:
    from ....core.cards import DefenseCard
    from ....core.defense import LocalStep
    from ....core.privacy import EpsilonRecord, Exposure
    from ....core.views import Update

_WEIGHT = "bayesian-noise.weight"
_POWER = "bayesian-noise.power"


@dataclass(frozen=True, kw_only=True)
class BayesianNoise(PoissonStepsDefense):
    """DP-SGD whose noise follows the signal of earlier noisy steps, at the level of records.

    Fields
    ------
    noise_multiplier : least noise multiplier z_min that it can draw, >= 0: the worst case
    largest_multiplier : largest one z_max, >= `noise_multiplier`; also the prior's mode
    max_grad_norm : L2 norm that a record's gradient is clipped to, > 0
    noise_to_signal : noise per coordinate over the norm of the sum of gradients, > 0
    prior_steps : n_0, how many steps the prior is worth, > 0
    memory : weight that a step's statistic keeps at the next, in [0, 1)
    typical_lengths : gradient lengths / `max_grad_norm` of public records, in [0, 1], for the
        Bayesian figure; empty: none is said
    """

    noise_multiplier: float = 1.0
    largest_multiplier: float = 2.0
    max_grad_norm: float = 1.0
    noise_to_signal: float = 0.1
    prior_steps: float = 2.0
    memory: float = 0.9
    typical_lengths: Sequence[float] = ()

    def __post_init__(self) -> None:
        owner = "bayesian-noise"
        require_number(f"{owner}: noise_multiplier", self.noise_multiplier, positive=False)
        for name in ("largest_multiplier", "max_grad_norm", "noise_to_signal", "prior_steps"):
            require_number(f"{owner}: {name}", getattr(self, name), positive=True)
        if self.largest_multiplier < self.noise_multiplier:
            raise UsageError(
                f"{owner}: largest_multiplier is {self.largest_multiplier:g}; use "
                f"{self.noise_multiplier:g} (noise_multiplier) or more"
            )
        if not 0 <= self.memory < 1:
            raise UsageError(f"{owner}: memory is {self.memory}; use a number from 0 to below 1")
        lengths = tuple(float(length) for length in self.typical_lengths)
        if len(lengths) == 1 or not all(0 <= length <= 1 for length in lengths):
            raise UsageError(f"{owner}: typical_lengths must be two or more numbers from 0 to 1")
        object.__setattr__(self, "typical_lengths", lengths)

    @property
    def card(self) -> DefenseCard:
        """The public card with this instance's settings."""
        return card_in_force("bayesian-noise", self)

    def gradient(self, step: LocalStep, rng: torch.Generator) -> Update:
        """Return the noised mean of the clipped gradients, by trainable parameter.

        An empty batch gives pure noise. Raises `RefusedError` where a gradient is not
        finite, or where model and loss do not work record by record.
        """
        self.require_batch(step)
        drawn = self.draw(step, rng)
        parameters = trainable(step.model)
        found = clipped(step, {tuple(parameters): self.max_grad_norm})
        std = drawn * self.max_grad_norm
        deviations = dict.fromkeys(parameters, std)
        released = noised_mean(step, found.total if found else {}, deviations, rng)
        squares = sum(float(value.double().square().sum()) for value in released.values())
        count = sum(value.numel() for value in released.values())
        power = squares * (step.expected_batch / self.max_grad_norm) ** 2 - count * drawn**2
        weight, before = self._seen(step)
        step.carried[_WEIGHT] = torch.tensor(self.memory * weight + 1, dtype=torch.float64)
        step.carried[_POWER] = torch.tensor(self.memory * before + power, dtype=torch.float64)
        return released

    def draw(self, step: LocalStep, rng: torch.Generator) -> float:
        """Return a noise multiplier from the posterior; nothing of the batch enters it."""
        weight, power = self._seen(step)
        prior = (self.largest_multiplier / self.noise_to_signal) ** 2
        shape = (self.prior_steps + weight) / 2
        rate = max(self.prior_steps * prior + power, 0.0) / 2
        seed = torch.randint(2**62, (), generator=rng, device=rng.device)
        gamma = np.random.default_rng(int(seed)).gamma(shape)
        drawn = self.noise_to_signal * (rate / max(gamma, np.finfo(float).tiny)) ** 0.5
        return float(min(max(drawn, self.noise_multiplier), self.largest_multiplier))

    def releases(self, exposure: Exposure) -> step_accounting.Releases:
        """Return the number of steps, always of the least noise."""
        return {self.noise_multiplier: exposure.rounds * exposure.local_steps}

    def mechanism(self, exposure: Exposure) -> str:  # noqa: ARG002
        """Return what was run, with its noise, in words."""
        return (
            f"Bayesian noise, multiplier drawn from {self.noise_multiplier:g} (accounted for) to "
            f"{self.largest_multiplier:g}, gradients clipped to {self.max_grad_norm:g}"
        )

    def privacy(self, exposure: Exposure) -> tuple[EpsilonRecord, ...]:
        """Return the record of the worst case, with the Bayesian figure where one is asked for."""
        (record,) = super().privacy(exposure)
        if not self.typical_lengths:
            return (record,)
        released = step_accounting.released(self.releases(exposure), exposure)
        typical = bayesian_epsilon(
            self.typical_lengths,
            noise_multiplier=self.noise_multiplier,
            sample_rate=step_accounting.sample_rate(exposure),
            releases=released.releases,
            delta=exposure.delta,
        )
        # What holds for every record holds on average too.
        worst = epsilon_and_accountant(released, exposure.delta)[0]
        return (replace(record, bayesian_epsilon=min(typical, worst)),)

    def _seen(self, step: LocalStep) -> tuple[float, float]:
        zero = torch.zeros(())
        return float(step.carried.get(_WEIGHT, zero)), float(step.carried.get(_POWER, zero))
