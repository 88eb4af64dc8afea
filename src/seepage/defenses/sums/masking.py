"""Secure aggregation by pairwise masks (`crypto.masking`) in every round of a job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .protected_sum import ProtectedSum


@dataclass(frozen=True, kw_only=True)
class Masking(ProtectedSum):
    """Hides single updates from a server that may lie; clients bind the model that they got.

    They know each other's identity keys beforehand: a server can't add clients of its own.

    Fields
    ------
    bound : public range of an entry of an update, > 0
    threshold : clients that must stay to the end; 2 x threshold > clients + colluders (None: the
        least that is so)
    colluders : clients that may aid the server
    neighbors : with how many others each client masks, an even number (0: all)
    minimum_cohort : fewest updates whose sum is revealed, >= 2
    """

    protocol: ClassVar[str] = "masking"
    binds_model: ClassVar[bool] = True
    registered: ClassVar[bool] = True

    bound: float = 16.0
    threshold: int | None = None
    colluders: int = 0
    neighbors: int = 0
    minimum_cohort: int = 2
