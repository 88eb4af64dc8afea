"""Local differential privacy: each client noises its own update, and trusts nobody.

The update u is clipped to norm C and released with noise on every coordinate. Any two clipped
updates lie within 2C of each other, so under `replace` adjacency of the client's whole data

- Gaussian: C bounds the L2 norm, u + N(0, (z C)^2 I); T releases are mu-GDP, mu = 2 sqrt(T) / z;
- Laplace: C bounds the L1 norm, u + Lap(z C); each release is eps-DP, eps = 2 / z (Dwork,
  McSherry, Nissim & Smith 2006).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...accounting.laplace import Laplace
from ...accounting.record import mechanism_record, profile_of
from ...accounting.sampled_gaussian import SampledGaussian
from ...core.defense import Defense
from ...core.errors import UsageError
from ...core.names import nearest
from ...core.threat import Observer
from ..cards import card_in_force
from .bounding import add_gaussian, clip, require_number, require_protectable
from .laplace_noise import add_laplace, clip_l1

if TYPE_CHECKING:
    import torch

    from ...accounting.bounds import Profile
    from ...accounting.mechanism import Mechanism
    from ...core.cards import DefenseCard
    from ...core.privacy import EpsilonRecord, Exposure
    from ...core.views import Update

NOISES = ("gaussian", "laplace")


@dataclass(frozen=True, kw_only=True)
class LocalDP(Defense):
    """Clipping and noise on the whole update (parameters and float buffers), at the client.

    It hides a client's whole data from the server, whoever runs it, and from all behind it.
    It does not hide who takes part, and noise for every single client costs far more
    accuracy than noise for their sum.

    Fields
    ------
    noise_multiplier : standard deviation (`laplace`: scale b) of the noise / `max_norm`, >= 0
    max_norm : norm that an update is clipped to, > 0; L2, or L1 where the noise is Laplace
    noise : `gaussian` or `laplace`
    """

    noise_multiplier: float = 1.0
    max_norm: float = 1.0
    noise: str = "gaussian"

    def __post_init__(self) -> None:
        require_number("local-dp: noise_multiplier", self.noise_multiplier, positive=False)
        require_number("local-dp: max_norm", self.max_norm, positive=True)
        if self.noise not in NOISES:
            raise UsageError(f"local-dp: noise is {self.noise!r}{nearest(str(self.noise), NOISES)}")

    @property
    def card(self) -> DefenseCard:
        """The public card with this instance's settings."""
        return card_in_force("local-dp", self)

    def protect_update(self, update: Update, rng: torch.Generator) -> Update:
        """Return the clipped and noised update; `RefusedError` for integers, NaN, infinity."""
        require_protectable(update, "local-dp")
        width = self.noise_multiplier * self.max_norm
        if self.noise == "laplace":
            return add_laplace(clip_l1(update, self.max_norm), width, rng)
        return add_gaussian(clip(update, self.max_norm), width, rng)

    def privacy(self, exposure: Exposure) -> tuple[EpsilonRecord, ...]:
        """Return the record of a client that takes part in every round."""
        norm = "L1" if self.noise == "laplace" else "L2"
        record = mechanism_record(
            self._released(exposure),
            mechanism=f"{self.noise.capitalize()} noise (floating-point) on each update, noise "
            f"multiplier {self.noise_multiplier:g}, clipped to {norm} norm {self.max_norm:g}",
            delta=exposure.delta,
            unit="client",
            adjacency="replace",
            observer=Observer.HONEST_SERVER,
            trust="nobody is trusted: the noise is added before an update leaves the client",
        )
        return (record,)

    def profile(self, exposure: Exposure) -> Profile:
        """Return what the guarantee of `privacy` allows an attacker."""
        return profile_of(self._released(exposure), exposure.delta)

    def _released(self, exposure: Exposure) -> Mechanism:
        kind = Laplace if self.noise == "laplace" else SampledGaussian
        return kind(
            noise_multiplier=self.noise_multiplier, releases=exposure.rounds, adjacency="replace"
        )
