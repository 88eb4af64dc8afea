"""What the noisy steps of a job release together, where their noise differs.

Releases are grouped by noise multiplier. Against records that are known to be behind a view of
k steps, k of the releases are not amplified. Which k is not said, so those of the least noise
are taken, and the rest without the k of the most noise: no choice of k gives away more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ....accounting.bounds import Profile
from ....accounting.composed import compose
from ....accounting.record import profile_of
from ....accounting.sampled_gaussian import SampledGaussian

if TYPE_CHECKING:
    from ....accounting.mechanism import Mechanism
    from ....core.intervals import Floats
    from ....core.privacy import Exposure

Releases = Mapping[float, int]
"""Noise multiplier over sensitivity -> number of releases, least noise first."""


def sample_rate(exposure: Exposure) -> float:
    """Return the rate at which each record of the smallest client enters a step, at most 1."""
    return min(1.0, (exposure.batch_size or exposure.examples) / exposure.examples)


def released(releases: Releases, exposure: Exposure) -> Mechanism:
    """Return the mechanism of all releases, of Poisson batches of the job's size."""
    return compose(
        SampledGaussian(
            noise_multiplier=multiplier,
            sample_rate=sample_rate(exposure),
            releases=count,
            view=exposure.local_steps,
        )
        for multiplier, count in releases.items()
    )


def steps_profile(releases: Releases, exposure: Exposure) -> Profile:
    """Return what all releases allow an attacker."""
    whole = profile_of(released(releases, exposure), exposure.delta)
    if len(releases) == 1 or sample_rate(exposure) == 1:
        return whole
    return StepsProfile(whole, dict(releases), exposure)


@dataclass(frozen=True, eq=False)
class StepsProfile(Profile):
    """The profile of releases of several noise multipliers; see the module for `given_sampled`."""

    whole: Profile
    releases: Releases
    exposure: Exposure

    @property
    def information_bits(self) -> float:
        """Return the bound on the bits that all releases tell."""
        return self.whole.information_bits

    @property
    def given_sampled(self) -> Profile:
        """Return what is allowed where the view's releases are not amplified."""
        view = min(self.exposure.local_steps, sum(self.releases.values()))
        known = _first(self.releases, view)
        hidden = _first(self.releases, sum(self.releases.values()) - view)
        parts: list[Mechanism] = [
            SampledGaussian(noise_multiplier=multiplier, releases=count)
            for multiplier, count in known.items()
        ]
        if hidden:
            parts.append(released(hidden, self.exposure))
        return profile_of(compose(parts), self.exposure.delta)

    def delta(self, epsilon: Floats) -> Floats:
        """Return delta at each epsilon."""
        return self.whole.delta(epsilon)

    def trade_off(self, fpr: Floats) -> Floats:
        """Return the least false-negative rate at each false-positive rate."""
        return self.whole.trade_off(fpr)


def _first(releases: Releases, count: int) -> dict[float, int]:
    """Return the `count` releases of the least noise."""
    taken: dict[float, int] = {}
    for multiplier in sorted(releases):
        if (some := min(releases[multiplier], count)) > 0:
            taken[multiplier] = some
            count -= some
    return taken
