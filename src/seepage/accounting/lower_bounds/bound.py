"""What an audit showed of epsilon, and what it could have shown."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from math import inf
from typing import Literal

from ...core.errors import UsageError
from ...core.names import nearest
from ..gaussian import mu_of
from .auditor import Auditor, Canaries
from .f_dp import FDP
from .multi_run import MultiRun
from .steinke import Steinke

Method = Literal["f-dp", "steinke", "clopper-pearson"]

AUDITORS: dict[str, Auditor] = {
    "f-dp": FDP(),
    "steinke": Steinke(),
    "clopper-pearson": MultiRun(),
}


@dataclass(frozen=True, kw_only=True)
class LowerBound:
    """What an audit showed; its str is a sentence.

    Fields
    ------
    epsilon : lower bound on epsilon at `delta`, >= 0; 0 says that nothing was shown
    delta, confidence : a bound exceeds the true epsilon in at most 1 - confidence of audits
    method : "f-dp", "steinke" or "clopper-pearson"
    members, non_members : numbers of canaries that were in the data, and left out
    guesses : each number of guesses that was tried, all of them corrected for
    right : what went the attacker's way at each: right guesses, or (clopper-pearson) members
        above the threshold that `guesses` non-members exceed
    """

    epsilon: float
    delta: float
    confidence: float
    method: str
    members: int
    non_members: int
    guesses: tuple[int, ...]
    right: tuple[int, ...]

    @property
    def holds_if(self) -> str:
        """Return what has to be true of the audit for the bound to hold at its level."""
        return AUDITORS[self.method].holds_if

    def power_at(
        self,
        epsilon: float,
        mechanism: Literal["gaussian", "randomized-response"] = "gaussian",
    ) -> float:
        """Return the bound which these canaries typically show where `epsilon` is the truth.

        Computed, for the best attack there is on canaries that don't disturb each other and a
        mechanism that is exactly (epsilon, delta)-DP, at the median count of right guesses (of
        members above the median threshold): the Gaussian one, or, for `method="steinke"`, pure
        randomized response, which no epsilon-DP mechanism exceeds. `epsilon` >= 0, `inf` for no
        protection at all. Raises `UsageError` for others, and where a method has no such power.

        >>> sides = {"members": 1000, "non_members": 1000, "guesses": (500,), "right": (250,)}
        >>> level = {"delta": 1e-5, "confidence": 0.95}
        >>> audit = LowerBound(epsilon=0.0, method="f-dp", **sides, **level)
        >>> [round(audit.power_at(truth), 2) for truth in (1.5, 8.0)]
        [0.76, 4.66]
        """
        if not epsilon >= 0:
            raise UsageError(f"epsilon is {epsilon}; use 0 or more")
        typical = tuple(self._typical(guesses, epsilon, mechanism) for guesses in self.guesses)
        return largest(replace(self, right=typical))

    @property
    def _canaries(self) -> Canaries:
        return Canaries(self.members, self.non_members)

    def _typical(self, guesses: int, epsilon: float, mechanism: str) -> int:
        auditor = AUDITORS[self.method]
        if mechanism == "randomized-response":
            return auditor.randomized_response_right(guesses, epsilon)
        if mechanism != "gaussian":
            known = ("gaussian", "randomized-response")
            raise UsageError(f"no power is known against {mechanism!r}{nearest(mechanism, known)}")
        if not self.delta and epsilon < inf:
            raise UsageError(
                "a Gaussian mechanism has no epsilon at delta 0; audit at a delta above"
            )
        mu = inf if epsilon == inf else mu_of(epsilon, self.delta)
        return auditor.gaussian_right(self._canaries, guesses, mu)

    def __str__(self) -> str:
        """Return the finding as a person would say it."""
        audit = (
            f"{AUDITORS[self.method].title}, {self.members + self.non_members} canaries, "
            f"{self.confidence:g} confidence, if {self.holds_if}"
        )
        if not self.epsilon:
            return f"no leak was shown, which proves none absent ({audit})"
        return f"epsilon is at least {self.epsilon:.3g} at delta {self.delta:g} ({audit})"


@lru_cache(maxsize=256)
def largest(audit: LowerBound) -> float:
    """Return the largest bound of all numbers of guesses, each at its share of the error."""
    return max(
        AUDITORS[audit.method].bound(
            Canaries(audit.members, audit.non_members),
            guesses,
            right,
            delta=audit.delta,
            significance=(1 - audit.confidence) / len(audit.guesses),
        )
        for guesses, right in zip(audit.guesses, audit.right, strict=True)
    )
