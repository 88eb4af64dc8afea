"""What clients and server of a masked sum know beforehand, and clients hold the server to."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from ...core.errors import UsageError
from ..fixed_point import FixedPoint
from ..packing import pack
from .graph import collusion_risk, neighborhood_threshold
from .keys import Registry

MOST_RISK = 2.0**-40
"""Chance of colluders around a client, or cutting the ring, from which terms are refused."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """The terms of a masked sum, agreed beforehand: no server can change them.

    Fields
    ------
    registry : who may take part
    threshold : clients that must be there to the end, of those registered; 2 x threshold must
        exceed their number and the colluders': else a server could have two sets of clients
        confirmed, call a client alive to one and dead to the other, and unmask it
    colluders : clients that may work with the server
    neighbors : with how many clients each one masks (even), or 0: with all
    minimum_cohort : fewest vectors whose sum is revealed, >= 2
    width, bound : of vectors
    """

    registry: Registry
    threshold: int
    width: int
    bound: float
    colluders: int = 0
    neighbors: int = 0
    minimum_cohort: int = 2

    def __post_init__(self) -> None:
        n = len(self.registry)
        if not 1 <= self.threshold <= n:
            raise UsageError(f"masking: threshold is {self.threshold}; use 1 to {n}, the clients")
        if self.colluders >= n:
            raise UsageError(f"masking: {self.colluders} colluders of {n} clients are all of them")
        if 2 * self.threshold <= n + self.colluders:
            raise UsageError(
                f"masking: a threshold of {self.threshold} of {n} clients with {self.colluders} "
                "colluders lets a server call a client dead and alive at once; use "
                f"{(n + self.colluders) // 2 + 1} or more"
            )
        risk = collusion_risk(n, self.degree, self.shares_needed(n), self.colluders)
        if risk > MOST_RISK:
            raise UsageError(
                f"masking: with {self.neighbors} neighbors of {n} clients, {self.colluders} "
                f"colluders surround or cut off a client with a chance of up to {risk:.1g}; use "
                "more neighbors, or 0 for all"
            )

    @property
    def degree(self) -> int:
        """Neighbors of a client, in a full roster."""
        return self.neighbors or len(self.registry) - 1

    def shares_needed(self, roster: int) -> int:
        """Return the shares that a secret takes, where `roster` clients gave keys."""
        return neighborhood_threshold(self.threshold, roster, self.neighbors or roster - 1)

    @property
    def least_survivors(self) -> int:
        """Clients that must be in the sum."""
        return max(self.threshold, self.minimum_cohort)

    @property
    def code(self) -> FixedPoint:
        """How vectors are encoded, for the sum of all that are registered."""
        return FixedPoint(len(self.registry), self.bound)

    @property
    def digest(self) -> bytes:
        """A hash of all of it, which every round is bound to."""
        numbers = (
            self.threshold, self.colluders, self.neighbors, self.minimum_cohort, self.width,
            self.bound,
        )  # fmt: skip
        clients = [f"{i}".encode() + b":" + key for i, key in sorted(self.registry.items())]
        return sha256(pack(repr(numbers).encode(), *clients)).digest()
