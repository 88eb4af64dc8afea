"""Secure aggregation as an ideal: a trusted third party adds the updates up.

What real protocols (Bonawitz et al. 2017) approach: the server learns the sum and nothing
else. The sum itself is exact, so attacks on aggregates stay possible.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ..core.defense import Defense
from ..core.errors import RefusedError, UsageError
from ..core.threat import Capability
from .cards import card_in_force
from .dp.bounding import require_protectable

if TYPE_CHECKING:
    import torch
    from torch import nn

    from ..core.cards import DefenseCard
    from ..core.task import Training
    from ..core.views import Update


@dataclass(frozen=True, kw_only=True)
class SecureAggregation(Defense):
    """Hides single updates from everybody; the aggregate is left as it is.

    Fields
    ------
    minimum_cohort : fewest updates whose sum may be revealed, >= 2
    """

    hides: ClassVar[frozenset[Capability]] = frozenset({Capability.SEES_CLIENT_UPDATES})

    minimum_cohort: int = 2

    def __post_init__(self) -> None:
        if self.minimum_cohort < 2:
            raise UsageError(
                f"secure-aggregation: minimum_cohort is {self.minimum_cohort}; use 2 or more, "
                "because the sum of one update is that update"
            )

    @property
    def card(self) -> DefenseCard:
        """The public card with this instance's settings."""
        return card_in_force("secure-aggregation", self)

    def check(self, model: nn.Module, training: Training) -> None:  # noqa: ARG002
        """Raise `RefusedError` where a round's cohort is known to be too small."""
        if training.cohort:
            self._require(training.cohort)

    def protect_update(self, update: Update, rng: torch.Generator) -> Update:  # noqa: ARG002
        """Return `update`; `RefusedError` for what no finite sum can encode."""
        require_protectable(update, "secure-aggregation")
        return update

    def protect_aggregate(
        self,
        aggregate: Update,
        contributors: int,
        rng: torch.Generator,  # noqa: ARG002
    ) -> Update:
        """Return `aggregate`; `RefusedError` where too few updates are in it."""
        self._require(contributors)
        return aggregate

    def _require(self, cohort: int) -> None:
        if cohort < self.minimum_cohort:
            raise RefusedError(
                f"secure-aggregation: {cohort} client(s) in a round, fewer than the "
                f"{self.minimum_cohort} that it hides among; raise the cohort"
            )
