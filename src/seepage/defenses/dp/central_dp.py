"""Central differential privacy: the server noises the mean of clipped updates.

The mean of n updates clipped to norm C is released with N(0, (z C / n)^2 I) added. To
replace one update by zeros moves the sum by at most C, so T releases are mu-GDP with
mu = sqrt(T) / z under `zero-out` adjacency (McMahan et al. 2018), against whoever sees
aggregates alone. The server itself sees the updates: against it nothing holds. The norm is
fixed: to follow a quantile (Andrew et al. 2021), the server would have to carry it from round to
round, and a defense carries something at a client's steps alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...accounting.record import gaussian_record, profile_of, unprotected_record
from ...accounting.sampled_gaussian import SampledGaussian
from ...core.defense import Defense
from ...core.errors import RefusedError
from ...core.threat import Observer
from ..cards import card_in_force
from .bounding import add_gaussian, clip, require_number, require_protectable

if TYPE_CHECKING:
    import torch

    from ...accounting.bounds import Profile
    from ...core.cards import DefenseCard
    from ...core.privacy import EpsilonRecord, Exposure
    from ...core.views import Update


@dataclass(frozen=True, kw_only=True)
class CentralDP(Defense):
    """Clipping of each update at the server, and Gaussian noise on their mean.

    It hides each client's whole data from other clients and all who see models alone. It hides
    nothing from the server, nor from whoever reads what clients send it.

    Fields
    ------
    noise_multiplier : standard deviation of the noise on the sum / `max_norm`, >= 0
    max_norm : L2 norm that each update is clipped to, > 0
    """

    noise_multiplier: float = 1.0
    max_norm: float = 1.0

    def __post_init__(self) -> None:
        require_number("central-dp: noise_multiplier", self.noise_multiplier, positive=False)
        require_number("central-dp: max_norm", self.max_norm, positive=True)

    @property
    def card(self) -> DefenseCard:
        """The public card with this instance's settings."""
        return card_in_force("central-dp", self)

    def bound_update(self, update: Update) -> Update:
        """Return the clipped update; `RefusedError` for integers, NaN, infinity."""
        require_protectable(update, "central-dp")
        return clip(update, self.max_norm)

    def protect_aggregate(
        self, aggregate: Update, contributors: int, rng: torch.Generator
    ) -> Update:
        """Return the mean of `contributors` >= 1 bounded updates with noise added."""
        if contributors < 1:
            raise RefusedError(f"central-dp: a mean of {contributors} updates can't be protected")
        require_protectable(aggregate, "central-dp")
        std = self.noise_multiplier * self.max_norm / contributors
        return add_gaussian(aggregate, std, rng)

    def privacy(self, exposure: Exposure) -> tuple[EpsilonRecord, ...]:
        """Return what holds against other clients, and that nothing holds against the server."""
        mechanism = (
            "Gaussian noise (floating-point) on the mean, noise multiplier "
            f"{self.noise_multiplier:g}, "
            f"each update clipped to {self.max_norm:g}"
        )
        against_peers = gaussian_record(
            mechanism=mechanism,
            noise_multiplier=self.noise_multiplier,
            releases=exposure.rounds,
            delta=exposure.delta,
            unit="client",
            adjacency="zero-out",
            observer=Observer.PEER_CLIENT,
            trust="the server is trusted with every update and adds the noise; the observer sees "
            "only the global models",
        )
        against_the_server = unprotected_record(
            mechanism=mechanism,
            releases=exposure.rounds,
            delta=exposure.delta,
            unit="client",
            adjacency="zero-out",
            observer=Observer.HONEST_SERVER,
            trust="none: the server sees every update before noise, so nothing holds against it",
        )
        return against_peers, against_the_server

    def profile(self, exposure: Exposure) -> Profile:
        """Return what the guarantee allows an observer of global models, not the server."""
        released = SampledGaussian(
            noise_multiplier=self.noise_multiplier, releases=exposure.rounds, adjacency="zero-out"
        )
        return profile_of(released, exposure.delta)
