"""Secure aggregation under CKKS encryption (`crypto.ckks`) in every round of a job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .protected_sum import ProtectedSum


@dataclass(frozen=True, kw_only=True)
class CKKS(ProtectedSum):
    """Hides single updates from an aggregator that has no key; clients hold it (extra `he`).

    Fields
    ------
    bound : public range of an entry of an update, > 0
    poly_modulus_degree, modulus_bits : of the ring; below 128 bits of security they are refused
    key_holders : clients that hold the key
    rotate_every : sums under one key
    minimum_cohort : fewest updates whose sum is revealed, >= 2
    insecure_toy : INSECURE: allow parameters below 128 bits, for tests
    """

    protocol: ClassVar[str] = "ckks"

    bound: float = 16.0
    poly_modulus_degree: int = 4096
    modulus_bits: int = 60
    key_holders: int = 2
    rotate_every: int = 1
    minimum_cohort: int = 2
    insecure_toy: bool = False
