"""What every way from scores to a bound answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from ...core.errors import UsageError
from ...core.intervals import Floats


@dataclass(frozen=True)
class Canaries:
    """How many canaries were in the data, and how many were left out."""

    members: int
    non_members: int

    @property
    def total(self) -> int:
        """Return the number of all."""
        return self.members + self.non_members


class Auditor(ABC):
    """A test of (epsilon, delta), turned into a bound.

    Scores are `[n]`, higher for likelier members. `guesses` is fixed before scores are
    seen; `right` counts what went the attacker's way. A bound is above the true epsilon
    in at most `significance` of audits.
    """

    title: ClassVar[str]
    holds_if: ClassVar[str]
    zero_delta: ClassVar[bool] = True

    @abstractmethod
    def default_guesses(self, canaries: Canaries) -> int:
        """Return the number of guesses where nobody names one, from the numbers alone."""

    @abstractmethod
    def require(self, canaries: Canaries, guesses: int) -> None:
        """Raise `UsageError` where so many canaries or guesses make no audit."""

    @abstractmethod
    def right(self, members: Floats, non_members: Floats, guesses: int) -> int:
        """Return how much of the evidence speaks for membership."""

    @abstractmethod
    def gaussian_right(self, canaries: Canaries, guesses: int, mu: float) -> int:
        """Return the typical `right` of the best attack on mu-GDP; of a perfect one at `inf`."""

    @abstractmethod
    def bound(
        self, canaries: Canaries, guesses: int, right: int, *, delta: float, significance: float
    ) -> float:
        """Return the lower bound on epsilon, >= 0."""

    def randomized_response_right(self, guesses: int, epsilon: float) -> int:
        """Return the typical `right` against pure randomized response, where it has one."""
        raise UsageError(
            f"the power of {self.title} against randomized response is not known "
            f"({guesses} guesses, epsilon {epsilon:g}); ask for mechanism='gaussian'"
        )
