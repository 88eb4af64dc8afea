"""DP-FTRL: each client's steps get noise that is correlated over steps and mostly cancels.

Step t of a client releases (sum_i clip(g_i) + z C sum_{k<=t} D_k n_{t-k}) / B, with n_0, n_1, ..
fresh standard normals and D the first column of C^-1 for the square root C of the prefix-sum
matrix: D_k = 1, -1/2, -1/8, .. So the sum of the first t steps, which is where the model stands,
has error of order log T and not sqrt T, without amplification by sampling (Kairouz et al. 2021,
arXiv 2103.00039; Denisov et al. 2022, arXiv 2202.08312; the factorization: Fichtenberger,
Henzinger & Upadhyay 2023, arXiv 2202.11205).

The noise is carried from step to step at the client, which is where defenses carry anything, so
records are what is protected. All epochs of a client go through its records in one order, so
that n records in batches of B enter steps floor(n / B) or more apart. Where B divides n the steps
are n / B apart exactly, and what is accounted is the worst that happens: C is nonnegative and
falls along its columns, so it is the record of the first batch (Choquette-Choo et al. 2023,
arXiv 2211.06530, for participation once an epoch, and arXiv 2306.08153 for a least separation;
Kalinin & Lampert 2024, arXiv 2405.13763, theorem 2, for the closed form).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, ClassVar

import torch

from ....accounting.matrix_gaussian import MatrixGaussian, inverse_sqrt_toeplitz
from ....accounting.record import mechanism_record, profile_of
from ....core.threat import Observer
from ...cards import card_in_force
from ..bounding import gaussian_like, require_number
from .per_record import trainable
from .record_level import RecordLevelDefense, clipped

if TYPE_CHECKING:
    from torch import Tensor

    from ....accounting.bounds import Profile
    from ....core.cards import DefenseCard
    from ....core.defense import LocalStep
    from ....core.privacy import EpsilonRecord, Exposure
    from ....core.views import Update

_NOISE = "dp-ftrl.noise"


@dataclass(frozen=True, kw_only=True)
class DPFTRL(RecordLevelDefense):
    """Per-record clipping with square-root Toeplitz noise over a client's steps.

    It hides a single record from the server and all behind it, without sampling that must stay
    secret. It is worth it where a record enters few of many steps; where it enters most (few
    epochs make the job, or batches are the whole data) independent noise is better. It does not
    hide a client's data as a whole. Memory grows by one update a step.

    Fields
    ------
    noise_multiplier : standard deviation of the fresh noise / `max_grad_norm`, >= 0
    max_grad_norm : L2 norm that a record's gradient is clipped to, > 0
    """

    same_order: ClassVar[bool] = True

    noise_multiplier: float = 1.0
    max_grad_norm: float = 1.0

    def __post_init__(self) -> None:
        require_number("dp-ftrl: noise_multiplier", self.noise_multiplier, positive=False)
        require_number("dp-ftrl: max_grad_norm", self.max_grad_norm, positive=True)

    @property
    def card(self) -> DefenseCard:
        """The public card with this instance's settings."""
        return card_in_force("dp-ftrl", self)

    def gradient(self, step: LocalStep, rng: torch.Generator) -> Update:
        """Return the mean of the clipped gradients with correlated noise, by parameter.

        Raises `RefusedError` where a gradient is not finite, or where model and loss do not
        work record by record.
        """
        self.require_batch(step)
        parameters = trainable(step.model)
        found = clipped(step, {tuple(parameters): self.max_grad_norm})
        noise = self.correlated(step, rng)
        std = self.noise_multiplier * self.max_grad_norm
        return {
            name: (noise[name] * std + (found.total[name] if found else 0)) / step.expected_batch
            for name in parameters
        }

    def correlated(self, step: LocalStep, rng: torch.Generator) -> dict[str, Tensor]:
        """Return this step's row of C^-1 n by parameter, and carry its fresh normals on."""
        parameters = trainable(step.model)
        index = sum(key.startswith(_NOISE) for key in step.carried)
        fresh = [gaussian_like(p, rng).flatten() for p in parameters.values()]
        step.carried[f"{_NOISE}.{index}"] = torch.cat(fresh)
        total = torch.zeros_like(step.carried[f"{_NOISE}.{index}"])
        for lag, factor in enumerate(inverse_sqrt_toeplitz(index + 1).tolist()):
            total.add_(step.carried[f"{_NOISE}.{index - lag}"], alpha=factor)
        parts = total.split([p.numel() for p in parameters.values()])
        return {
            name: part.view(p.shape).to(p.dtype)
            for (name, p), part in zip(parameters.items(), parts, strict=True)
        }

    def privacy(self, exposure: Exposure) -> tuple[EpsilonRecord, ...]:
        """Return the record of one client's worst case: it takes part in every round."""
        released = self.released(exposure)
        record = mechanism_record(
            released,
            mechanism=f"DP-FTRL (square-root Toeplitz), noise multiplier {self.noise_multiplier:g} "
            f"(floating-point), gradients clipped to {self.max_grad_norm:g}, each record in at "
            f"most {released.participations} of {released.releases} steps, at least "
            f"{released.min_separation} apart",
            delta=exposure.delta,
            unit="record",
            adjacency="zero-out",
            observer=Observer.HONEST_SERVER,
            trust="the server sees each client's noisy update and may know which records entered "
            "which step; the number of records is public",
        )
        return (record,)

    def profile(self, exposure: Exposure) -> Profile:
        """Return what the guarantee of `privacy` allows an attacker."""
        return profile_of(self.released(exposure), exposure.delta)

    def released(self, exposure: Exposure) -> MatrixGaussian:
        """Return the mechanism of all steps of the client with the fewest records.

        T steps of B of its n records begin ceil(T B / n) epochs, each with one use of a record,
        floor(n / B) steps or more after the one before.
        """
        steps = exposure.rounds * exposure.local_steps
        batch = min(exposure.batch_size or exposure.examples, exposure.examples)
        epochs = ceil(steps * batch / exposure.examples)
        return MatrixGaussian(
            noise_multiplier=self.noise_multiplier,
            releases=steps,
            participations=min(epochs, steps),
            min_separation=exposure.examples // batch,
            adjacency="zero-out",
        )
