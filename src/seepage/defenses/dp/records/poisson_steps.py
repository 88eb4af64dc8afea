"""What the guarantee of noisy steps on Poisson batches says, whatever sets their noise."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from ....accounting.record import mechanism_record
from ....core.threat import Observer
from . import step_accounting
from .record_level import RecordLevelDefense

if TYPE_CHECKING:
    from ....accounting.bounds import Profile
    from ....core.privacy import EpsilonRecord, Exposure


class PoissonStepsDefense(RecordLevelDefense):
    """Base of defenses whose every step releases a noisy sum over a Poisson batch."""

    poisson: ClassVar[bool] = True

    @abstractmethod
    def releases(self, exposure: Exposure) -> step_accounting.Releases:
        """Return how many steps there are of each noise multiplier over sensitivity."""

    @abstractmethod
    def mechanism(self, exposure: Exposure) -> str:
        """Return what was run in words, to which sampling and the kind of noise are added."""

    def privacy(self, exposure: Exposure) -> tuple[EpsilonRecord, ...]:
        """Return the record of one client's worst case: it takes part in every round."""
        rate = step_accounting.sample_rate(exposure)
        sampled = f", Poisson sampling at rate {rate:.4g}" if rate < 1 else ""
        blind = ", not which records were sampled" if rate < 1 else ""
        record = mechanism_record(
            step_accounting.released(self.releases(exposure), exposure),
            mechanism=f"{self.mechanism(exposure)}{sampled}, floating-point noise",
            delta=exposure.delta,
            unit="record",
            adjacency="add-remove",
            observer=Observer.HONEST_SERVER,
            trust=f"the server sees each client's noisy update{blind}",
        )
        return (record,)

    def profile(self, exposure: Exposure) -> Profile:
        """Return what the guarantee of `privacy` allows an attacker."""
        return step_accounting.steps_profile(self.releases(exposure), exposure)
