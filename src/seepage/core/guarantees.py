"""What canaries showed of a claimed epsilon."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class GuaranteeTest:
    """A lower bound on epsilon beside the epsilon that was claimed.

    It can refute the claim, and prove nothing: `power` says what it could have shown.

    Fields
    ------
    task, mechanism, unit : whose claim it is, and whose presence it is about
    claimed, delta : the total epsilon of the record
    epsilon : what canaries show at least at `confidence`; 0: nothing
    power : what they typically show where the claim is exactly true
    most : what they show where nothing is protected
    method, attack, observer, kind : how canaries were scored and made
    canaries, planted : how many there were, and how many of them were trained on
    note : the bound in words, and what has to be true for it to hold
    """

    task: str
    mechanism: str
    unit: str
    claimed: float
    delta: float
    epsilon: float
    power: float
    most: float
    confidence: float
    method: str
    attack: str
    observer: str
    kind: str
    canaries: int
    planted: int
    note: str = ""

    @property
    def refuted(self) -> bool:
        """Whether more leaks than was claimed: the defense is not what its record says."""
        return self.epsilon > self.claimed
