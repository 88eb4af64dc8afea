"""Secure aggregation under a key that no one has (`crypto.threshold_ckks`), every round."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .protected_sum import ProtectedSum


@dataclass(frozen=True, kw_only=True)
class ThresholdCKKS(ProtectedSum):
    """Hides single updates from everybody; clients open the sum together.

    It runs OpenFHE in an environment of its own: `seepage doctor --make openfhe`.

    Fields
    ------
    bound : public range of an entry of an update, > 0
    threshold : clients that it takes to open a sum (None: as the protocol says)
    statistical_bits : partial decryptions tell less than 2^-this of the key
    minimum_cohort : fewest updates whose sum is revealed, >= 2
    """

    protocol: ClassVar[str] = "threshold-ckks"

    bound: float = 16.0
    threshold: int | None = None
    statistical_bits: int = 40
    minimum_cohort: int = 2
