"""What a secure sum is given and gives back, whichever protocol computes it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, NoReturn

import numpy as np
from numpy.typing import NDArray

from ..core.errors import RefusedError, UsageError
from ..core.names import nearest

if TYPE_CHECKING:
    from .entropy import Entropy
    from .wire import Cost, PartyView, Wire

Floats = NDArray[np.float64]
Vector = NDArray[np.float32] | NDArray[np.float64]

UPLOAD = "upload"
"""The stage at which a client that is only said to drop out does so: it sends no vector."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SumJob:
    """One sum: each client's vector, and who drops out when.

    Fields
    ------
    vectors : by client, `[d]`; checked by whoever encodes them, as real clients would
    weights : by client, in [0, `weight_bound`], or None; as secret as the vectors
    weight_bound : public range of a weight, > 0
    bound : public range of an entry, > 0
    drop : client -> the first stage (one of the protocol's `stages`) that it is not there for
    entropy : where all keys, masks and shares come from
    context : what all clients must agree on (say, the hash of the model that they received,
        the roster and the round), by client; empty where there is nothing to agree on
    """

    vectors: tuple[Vector, ...]
    entropy: Entropy
    weights: tuple[float, ...] | None = None
    weight_bound: float = 1.0
    bound: float = 16.0
    drop: Mapping[int, str] = field(default_factory=dict[int, str])
    context: tuple[bytes, ...] = ()

    @property
    def clients(self) -> int:
        """The number of clients, those that drop out among them."""
        return len(self.vectors)

    @property
    def width(self) -> int:
        """Entries of what each client contributes: its vector, and its weight where it has one."""
        return len(self.vectors[0]) + (self.weights is not None)

    def contribution(self, client: int) -> Vector:
        """Return what a client puts into the sum, `[width]`, entries within `bound`.

        Its vector; or, with weights, its vector times weight / `weight_bound`, then `bound` times
        weight / `weight_bound`. So the weights' sum is learned with the vectors', and no weight.
        """
        vector = self.vectors[client]
        if self.weights is None:
            return vector
        share = self.weights[client] / self.weight_bound
        found = np.empty(self.width)
        np.multiply(vector, share, out=found[:-1], dtype=np.float64)  # no rounding to float32
        found[-1] = share * self.bound
        return found

    def result(self, total: Floats, survivors: tuple[int, ...]) -> tuple[Floats, float]:
        """Return the sum of the survivors' vectors and of their weights, from contributions'."""
        if self.weights is None:
            return total, float(len(survivors))
        return total[:-1] * self.weight_bound, float(total[-1]) * self.weight_bound / self.bound

    def present(self, client: int, stage: str, stages: tuple[str, ...]) -> bool:
        """Return whether a client is still there at a stage of a protocol with these stages."""
        if client not in self.drop:
            return True
        return stages.index(stage) < stages.index(self.drop[client])


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SecureSum:
    """The sum, who is in it, what each party saw and what it cost.

    Fields
    ------
    sum : `[d]`, of weight times vector over the survivors
    weight : the survivors' weights together; their number where there are no weights
    survivors : the clients whose vectors are in the sum
    cost : seconds and bytes
    views : party -> what it received, and the sum if it learned it
    max_error : no entry of `sum` is further than this from the exact one
    """

    sum: Floats
    weight: float
    survivors: tuple[int, ...]
    cost: Cost
    views: Mapping[str, PartyView] = field(repr=False)
    max_error: float

    @classmethod
    def learned(
        cls,
        job: SumJob,
        total: Floats,
        survivors: tuple[int, ...],
        wire: Wire,
        *,
        max_error: float,
        by: tuple[str, ...] = ("server",),
        rounds: int = 1,
    ) -> SecureSum:
        """Return what the parties `by` learn, from the sum of the survivors' contributions.

        `max_error` is that of `total`.
        """
        found, weight = job.result(total, survivors)
        for party in by:
            wire.learned(party, found)
        return cls(
            sum=found,
            weight=weight,
            survivors=survivors,
            cost=wire.cost(rounds=rounds),
            views=wire.views(),
            max_error=max_error * job.weight_bound,
        )

    def __str__(self) -> str:
        """Return its size, accuracy and cost on one line.

        >>> from seepage.crypto.wire import Cost
        >>> spent = Cost(client_seconds=0.0123, server_seconds=0.04, bytes_up_per_client=8400,
        ...              bytes_down_per_client=8000)
        >>> print(SecureSum(
        ...     sum=np.zeros(2000), weight=3.0, survivors=(0, 1, 3), cost=spent, views={},
        ...     max_error=1.2e-7,
        ... ))  # doctest: +NORMALIZE_WHITESPACE
        sum of 3 vectors of 2,000 entries, exact to 1.2e-07;
        client 0.0123 s, server 0.04 s, 8,400 bytes up a client
        """
        return (
            f"sum of {len(self.survivors)} vectors of {len(self.sum):,} entries, "
            f"exact to {self.max_error:.2g}; client {self.cost.client_seconds:.3g} s, "
            f"server {self.cost.server_seconds:.3g} s, "
            f"{self.cost.bytes_up_per_client:,} bytes up a client"
        )


class SumProtocol(ABC):
    """Base of the protocols: frozen dataclasses whose fields are their public parameters."""

    name: ClassVar[str]
    stages: ClassVar[tuple[str, ...]] = (UPLOAD,)
    """What a client does, in order; it may drop out before any of them."""

    @abstractmethod
    def run(self, job: SumJob) -> SecureSum:
        """Return the sum, or raise `RefusedError` and release nothing."""

    def check(self, job: SumJob) -> None:
        """Raise `UsageError` where `job` names a client or a stage that there is not."""
        for client, stage in job.drop.items():
            if not 0 <= client < job.clients:
                raise UsageError(
                    f"{self.name}: drop names client {client}, of {job.clients} (from 0)"
                )
            if stage not in self.stages:
                raise UsageError(
                    f"{self.name}: no stage is called {stage!r}{nearest(stage, self.stages)}; "
                    f"they are {', '.join(self.stages)}"
                )

    def refuse(self, reason: str) -> NoReturn:
        """Raise `RefusedError`: the sum is aborted."""
        raise RefusedError(f"{self.name}: {reason}; nothing was released")


def client_name(client: int) -> str:
    """Return how a wire and its views call a client."""
    return f"client {client}"
