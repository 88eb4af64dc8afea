"""Local differential privacy: each client noises its own update, and trusts nobody.

The update u is clipped to norm C and released as u + N(0, (z C)^2 I). Any two clipped
updates lie within 2C of each other, so T releases are mu-GDP with mu = 2 sqrt(T) / z under
`replace` adjacency of the client's whole data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..accounting.record import gaussian_record, profile_of
from ..accounting.sampled_gaussian import SampledGaussian
from ..core.defense import Defense
from ..core.threat import Observer
from .bounding import add_gaussian, clip, require_number, require_protectable
from .cards import card_in_force

if TYPE_CHECKING:
    import torch

    from ..accounting.bounds import Profile
    from ..core.cards import DefenseCard
    from ..core.privacy import EpsilonRecord, Exposure
    from ..core.views import Update


@dataclass(frozen=True, kw_only=True)
class LocalDP(Defense):
    """Clipping and Gaussian noise on the whole update (parameters and float buffers).

    Fields
    ------
    noise_multiplier : standard deviation of the noise / `max_norm`, >= 0
    max_norm : L2 norm that an update is clipped to, > 0
    """

    noise_multiplier: float = 1.0
    max_norm: float = 1.0

    def __post_init__(self) -> None:
        require_number("local-dp: noise_multiplier", self.noise_multiplier, positive=False)
        require_number("local-dp: max_norm", self.max_norm, positive=True)

    @property
    def card(self) -> DefenseCard:
        """The public card with this instance's settings."""
        return card_in_force("local-dp", self)

    def protect_update(self, update: Update, rng: torch.Generator) -> Update:
        """Return the clipped and noised update; `RefusedError` for integers, NaN, infinity."""
        require_protectable(update, "local-dp")
        clipped = clip(update, self.max_norm)
        return add_gaussian(clipped, self.noise_multiplier * self.max_norm, rng)

    def privacy(self, exposure: Exposure) -> tuple[EpsilonRecord, ...]:
        """Return the record of a client that takes part in every round."""
        record = gaussian_record(
            mechanism=f"Gaussian noise on each update, noise multiplier {self.noise_multiplier:g}, "
            f"clipped to {self.max_norm:g}",
            noise_multiplier=self.noise_multiplier,
            releases=exposure.rounds,
            delta=exposure.delta,
            unit="client",
            adjacency="replace",
            observer=Observer.HONEST_SERVER,
            trust="nobody is trusted: the noise is added before an update leaves the client",
        )
        return (record,)

    def profile(self, exposure: Exposure) -> Profile:
        """Return what the guarantee of `privacy` allows an attacker."""
        released = SampledGaussian(
            noise_multiplier=self.noise_multiplier, releases=exposure.rounds, adjacency="replace"
        )
        return profile_of(released, exposure.delta)
