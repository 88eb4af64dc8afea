"""Distributed differential privacy: every client adds its share of the noise under a secure sum.

With C the clipping norm, g the grid's spacing in clipping norms, and h the fewest honest clients
in a sum (the protocol's threshold less those that collude with the server), a client sends

    round(u min(1, C / ||u||) / g C) + N_Z(0, s^2)  modulo m,    s = ceil(z / g sqrt h),

with stochastic rounding drawn anew until the norm is one that a share 1 - beta of draws keeps,
and N_Z an exact discrete Gaussian. The server learns the sum modulo m, unwraps it to
-m/2 .. m/2, and scales it back (Kairouz, Liu & Steinke 2021, arXiv 2102.06387, algorithm 1,
without its rotation, which would save bits of m and nothing else).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, exp, floor, sqrt
from typing import TYPE_CHECKING, ClassVar

import torch

from ...accounting.distributed_gaussian import DistributedGaussian
from ...accounting.record import mechanism_record, profile_of
from ...core.defense import Defense
from ...core.errors import RefusedError, UsageError, require_least
from ...core.threat import Capability, Observer
from ..cards import card_in_force
from .bounding import clip, require_number, require_protectable
from .discrete_noise import LARGEST_DEVIATION, discrete_gaussian

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ...accounting.bounds import Profile
    from ...core.cards import DefenseCard
    from ...core.privacy import EpsilonRecord, Exposure
    from ...core.task import Training
    from ...core.views import Update

BETA = exp(-0.5)
MOST_WRAPPING = 1e-6
"""Largest chance of a wrapped sum at which a round's sum is released."""

# Each draw is kept with probability above 0.39: that none of these is does not happen.
_ROUNDINGS = 1000
# Integers that survive a division and a multiplication in doubles.
_LARGEST_SUM = 2**51


@dataclass(frozen=True, kw_only=True)
class DistributedDP(Defense):
    """Clipping, rounding and discrete Gaussian noise at each client, summed modulo 2^bits.

    It hides a client's whole update from a server that learns the sum and nothing else (an
    ideal secure aggregation, which it brings along), also where up to `colluders` clients help
    that server. It does not hide a single update from whoever sees one: alone, it has a
    fraction of the noise. Nor does it hide who takes part.

    Fields
    ------
    noise_multiplier : least standard deviation of the noise in a sum / `max_norm`, >= 0
    max_norm : L2 norm that an update is clipped to, > 0
    threshold : fewest clients whose sum is revealed, >= 2
    colluders : most clients of a sum that work with the server, from 0 to below `threshold`
    granularity : spacing of the grid / `max_norm`, > 0
    modulus_bits : sums are taken modulo 2 to this, 2 to 40
    dimension : most coordinates that an update may have, >= 1; more are refused
    """

    hides: ClassVar[frozenset[Capability]] = frozenset({Capability.SEES_CLIENT_UPDATES})

    noise_multiplier: float = 1.0
    max_norm: float = 1.0
    threshold: int = 2
    colluders: int = 0
    granularity: float = 2.0**-12
    modulus_bits: int = 32
    dimension: int = 1_000_000

    def __post_init__(self) -> None:
        owner = "distributed-dp"
        require_number(f"{owner}: noise_multiplier", self.noise_multiplier, positive=False)
        for name in ("max_norm", "granularity"):
            require_number(f"{owner}: {name}", getattr(self, name), positive=True)
        require_least(owner, self, threshold=2, colluders=0, modulus_bits=2, dimension=1)
        if self.colluders >= self.threshold:
            raise UsageError(
                f"{owner}: colluders is {self.colluders}, all of the {self.threshold} clients in "
                "the smallest sum; raise threshold"
            )
        if self.modulus_bits > 40:
            raise UsageError(f"{owner}: modulus_bits is {self.modulus_bits}; use 40 or fewer")
        if max(1 / self.granularity, self.deviation) > LARGEST_DEVIATION:
            raise UsageError(
                f"{owner}: granularity {self.granularity:g} makes integers too large; use a "
                "coarser grid"
            )

    @property
    def card(self) -> DefenseCard:
        """The public card with this instance's settings."""
        return card_in_force("distributed-dp", self)

    @property
    def modulus(self) -> int:
        """Return m."""
        return 2**self.modulus_bits

    @property
    def deviation(self) -> int:
        """Return the deviation s of one client's noise in grid steps, rounded up."""
        share = self.noise_multiplier / sqrt(self.threshold - self.colluders)
        return ceil(share / self.granularity)

    def released(self, releases: int = 1) -> DistributedGaussian:
        """Return the mechanism that `releases` sums are to a server that sees nothing else."""
        return DistributedGaussian(
            noise_multiplier=self.deviation * self.granularity,
            honest=self.threshold - self.colluders,
            dimension=self.dimension,
            granularity=self.granularity,
            rounding="conditional",
            beta=BETA,
            releases=releases,
        )

    def check(self, model: nn.Module, training: Training) -> None:
        """Raise `RefusedError` where the model or a cohort of known size can't be protected."""
        self._require_dimension(sum(p.numel() for p in model.parameters() if p.requires_grad))
        if training.cohort:
            self._require_contributors(training.cohort)

    def protect_update(self, update: Update, rng: torch.Generator) -> Update:
        """Return integers 1 .. m (in float64), m standing for 0; see the module.

        `RefusedError` for integers, NaN, infinity, and more coordinates than `dimension`.
        """
        require_protectable(update, "distributed-dp")
        if not update:
            return {}
        clipped = clip(update, self.max_norm)
        flat = torch.cat([value.detach().double().flatten() for value in clipped.values()])
        self._require_dimension(len(flat))
        noisy = self.rounded(flat, rng) + discrete_gaussian(len(flat), self.deviation, rng)
        wrapped = noisy % self.modulus
        # No 0 is sent, so that coordinates which a later defense zeroed do not pass for noised.
        sent = torch.where(wrapped == 0, self.modulus, wrapped).double()
        parts = sent.split([value.numel() for value in update.values()])
        return {
            name: part.view(value.shape)
            for (name, value), part in zip(update.items(), parts, strict=True)
        }

    def rounded(self, flat: Tensor, rng: torch.Generator) -> Tensor:
        """Return a clipped update `[d]` on the grid, int64 `[d]`, its norm bounded exactly."""
        scaled = flat / (self.granularity * self.max_norm)
        low = scaled.floor()
        most = floor((self.released().rounded_norm / self.granularity) ** 2)
        for _ in range(_ROUNDINGS):
            drawn = torch.rand(flat.shape, generator=rng, dtype=torch.float64)
            integers = (low + (drawn < scaled - low)).to(torch.int64)
            if int(integers.square().sum()) <= most:
                return integers
        raise RefusedError(
            "distributed-dp: the update can't be rounded within its norm, so nothing is released; "
            "use a finer granularity"
        )

    def bound_update(self, update: Update) -> Update:
        """Return `update`; `RefusedError` where it is not what `protect_update` sends."""
        for name, value in update.items():
            whole = value.dtype == torch.float64 and bool((value == value.round()).all())
            if not (whole and bool(((value >= 1) & (value <= self.modulus)).all())):
                raise RefusedError(
                    f"distributed-dp: {name} was changed after it was encoded; list distributed-dp "
                    "last of the defenses that act on updates"
                )
        return update

    def protect_aggregate(
        self,
        aggregate: Update,
        contributors: int,
        rng: torch.Generator,  # noqa: ARG002
    ) -> Update:
        """Return the mean that the sum modulo m stands for, in float64.

        `RefusedError` where fewer than `threshold` contribute, where the sum may have left the
        range of m, or where the aggregate is no mean of encoded updates.
        """
        self._require_contributors(contributors)
        return {name: self._decoded(name, v, contributors) for name, v in aggregate.items()}

    def upload_bytes(self, plain: int) -> int:
        """Return the bytes of `modulus_bits` for each of the `plain` // 4 coordinates."""
        return ceil(plain // 4 * self.modulus_bits / 8)

    def privacy(self, exposure: Exposure) -> tuple[EpsilonRecord, ...]:
        """Return the record of a client that takes part in every round."""
        record = mechanism_record(
            self.released(exposure.rounds),
            mechanism=f"discrete Gaussian noise (exact integers) of deviation {self.deviation} "
            f"grid steps at each client, updates clipped to {self.max_norm:g} and rounded to a "
            f"grid of {self.granularity:g} clipping norms in up to {self.dimension} coordinates, "
            f"sums of {self.threshold} or more clients modulo 2^{self.modulus_bits}",
            delta=exposure.delta,
            unit="client",
            adjacency="zero-out",
            observer=Observer.HONEST_SERVER,
            trust="secure aggregation reveals sums alone, and in each at least "
            f"{self.threshold - self.colluders} clients add their noise and do not tell it "
            f"({self.threshold} contribute, at most {self.colluders} collude with the server)",
        )
        return (record,)

    def profile(self, exposure: Exposure) -> Profile:
        """Return what the guarantee of `privacy` allows an attacker."""
        return profile_of(self.released(exposure.rounds), exposure.delta)

    def _decoded(self, name: str, mean: Tensor, contributors: int) -> Tensor:
        total = mean.double() * contributors
        whole = total.round()
        if mean.dtype != torch.float64 or bool(((total - whole).abs() > 0.1).any()):
            raise RefusedError(
                f"distributed-dp: the sum of {name} was changed before it was decoded; list "
                "distributed-dp before defenses that act on the aggregate"
            )
        residue = whole.to(torch.int64) % self.modulus
        centered = torch.where(residue >= self.modulus // 2, residue - self.modulus, residue)
        return centered.double() * (self.granularity * self.max_norm / contributors)

    def _require_contributors(self, contributors: int) -> None:
        if contributors < self.threshold:
            raise RefusedError(
                f"distributed-dp: {contributors} client(s) in a round, fewer than the threshold of "
                f"{self.threshold} for which the noise is made; raise the cohort"
            )
        wraps = self.released().wrap_probability(self.modulus, contributors)
        if wraps > MOST_WRAPPING or contributors * self.modulus > _LARGEST_SUM:
            raise RefusedError(
                f"distributed-dp: a sum of {contributors} clients does not fit {self.modulus_bits} "
                f"bits (it wraps with probability up to {wraps:.1e}); change modulus_bits, or use "
                "a coarser granularity"
            )

    def _require_dimension(self, coordinates: int) -> None:
        if coordinates > self.dimension:
            raise RefusedError(
                f"distributed-dp: {coordinates} coordinates, more than the {self.dimension} that "
                "the noise is accounted for; raise dimension"
            )
