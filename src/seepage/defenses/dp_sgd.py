"""DP-SGD: every record's gradient is clipped, and their sum is noised, in each local step.

A step releases (sum_i g_i min(1, C / ||g_i||) + N(0, (z C)^2 I)) / B, with B the expected
size of a Poisson batch (Abadi et al. 2016, arXiv 1607.00133, algorithm 1). Adding or
removing a record moves the sum by at most C.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import nn

from ..accounting.record import gaussian_record, profile_of
from ..accounting.sampled_gaussian import SampledGaussian
from ..core.defense import Defense
from ..core.errors import RefusedError
from ..core.threat import Observer
from . import ghost_clipping, per_record
from .bounding import gaussian_like, require_number
from .cards import card_in_force

if TYPE_CHECKING:
    from ..accounting.bounds import Profile
    from ..core.cards import DefenseCard
    from ..core.defense import LocalStep
    from ..core.privacy import EpsilonRecord, Exposure
    from ..core.task import Training
    from ..core.views import Update

BATCH_NORMS = (
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
    nn.SyncBatchNorm,
    nn.LazyBatchNorm1d,
    nn.LazyBatchNorm2d,
    nn.LazyBatchNorm3d,
)
# Measured on one CPU core: up to here vmap is faster for an MLP and a small CNN alike.
MOST_RECORDS_BY_VMAP = 16


@dataclass(frozen=True, kw_only=True)
class DPSGD(Defense):
    """Differentially private SGD at each client, at the level of records.

    Fields
    ------
    noise_multiplier : standard deviation of the noise / `max_grad_norm`, >= 0
    max_grad_norm : L2 norm that a record's gradient is clipped to, > 0
    """

    poisson: ClassVar[bool] = True

    noise_multiplier: float = 1.0
    max_grad_norm: float = 1.0

    def __post_init__(self) -> None:
        require_number("dp-sgd: noise_multiplier", self.noise_multiplier, positive=False)
        require_number("dp-sgd: max_grad_norm", self.max_grad_norm, positive=True)

    @property
    def card(self) -> DefenseCard:
        """The public card with this instance's settings."""
        return card_in_force("dp-sgd", self)

    def check(self, model: nn.Module, training: Training) -> None:  # noqa: ARG002
        """Raise `RefusedError` for layers and buffers that the noise would not cover."""
        for name, layer in model.named_modules():
            if problem := _problem(layer):
                raise RefusedError(
                    f"dp-sgd: layer {name or '(root)'} ({type(layer).__name__}) {problem}"
                )
        for name, buffer in model.named_buffers():
            if buffer.is_floating_point():
                raise RefusedError(
                    f"dp-sgd: buffer {name} may carry what a client's records did to it past the "
                    "noise; use a layer without it, or hold a constant as a plain attribute"
                )

    def gradient(self, step: LocalStep, rng: torch.Generator) -> Update:
        """Return the noised mean of the clipped gradients, by trainable parameter.

        An empty batch gives pure noise. Raises `RefusedError` where a gradient is not
        finite, or where model and loss do not work record by record.
        """
        if step.expected_batch < 1:
            raise RefusedError(
                f"dp-sgd: the expected batch is {step.expected_batch}; use 1 or more"
            )
        total = self._clipped_sum(step)
        std = self.noise_multiplier * self.max_grad_norm
        released: dict[str, torch.Tensor] = {}
        for name, parameter in per_record.trainable(step.model).items():
            noised = std * gaussian_like(parameter, rng)
            released[name] = (noised + total[name] if total else noised) / step.expected_batch
        return released

    def privacy(self, exposure: Exposure) -> tuple[EpsilonRecord, ...]:
        """Return the record of one client's worst case: it takes part in every round."""
        released = self._released(exposure)
        sampled = released.sample_rate < 1
        rate = f", Poisson sampling at rate {released.sample_rate:.4g}" if sampled else ""
        blind = ", not which records were sampled" if sampled else ""
        record = gaussian_record(
            mechanism=f"DP-SGD, noise multiplier {self.noise_multiplier:g}, gradients clipped to "
            f"{self.max_grad_norm:g}{rate}",
            noise_multiplier=self.noise_multiplier,
            sample_rate=released.sample_rate,
            releases=released.releases,
            delta=exposure.delta,
            unit="record",
            adjacency="add-remove",
            observer=Observer.HONEST_SERVER,
            trust=f"the server sees each client's noisy update{blind}",
        )
        return (record,)

    def profile(self, exposure: Exposure) -> Profile:
        """Return what the guarantee of `privacy` allows an attacker."""
        return profile_of(self._released(exposure), exposure.delta)

    def _clipped_sum(self, step: LocalStep) -> dict[str, torch.Tensor]:
        if not len(step.inputs):
            return {}
        many = len(step.inputs) > MOST_RECORDS_BY_VMAP
        way = ghost_clipping if many and ghost_clipping.trusts(step) else per_record
        return way.clipped_sum(step, self.max_grad_norm)

    def _released(self, exposure: Exposure) -> SampledGaussian:
        batch = exposure.batch_size or exposure.examples
        return SampledGaussian(
            noise_multiplier=self.noise_multiplier,
            sample_rate=min(1.0, batch / exposure.examples),
            releases=exposure.rounds * exposure.local_steps,
            view=exposure.local_steps,
        )


def _problem(layer: nn.Module) -> str:
    """Return why a layer can't be protected, or nothing."""
    from opacus.validators import ModuleValidator

    if isinstance(layer, BATCH_NORMS):
        return "mixes the records of a batch, and its statistics bypass the noise; use GroupNorm"
    if isinstance(layer, nn.RNNBase):
        return "gives no gradient of a single record; use opacus's DPRNN, DPLSTM or DPGRU"
    rule = ModuleValidator.VALIDATORS.get(type(layer))
    if rule and (problems := rule(layer)):
        reason = str(problems[0]).split(". ")[0]
        return f"can't be clipped by record (opacus: {reason}); use another layer"
    return ""
