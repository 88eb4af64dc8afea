"""Secure aggregation by authenticated shares (`crypto.spdz`) in every round of a job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .protected_sum import ProtectedSum


@dataclass(frozen=True, kw_only=True)
class SPDZ(ProtectedSum):
    """Hides single updates from all computing parties but one, which may lie.

    Fields
    ------
    bound : public range of an entry of an update, > 0
    parties : that compute, >= 2
    threshold : fewest updates whose sum is revealed, >= 2
    """

    protocol: ClassVar[str] = "spdz"

    bound: float = 16.0
    parties: int = 3
    threshold: int = 2
