"""What every accountant takes: mechanisms, and several of them in a row.

A mechanism stands for one or more releases about one unit's data. It says what they allow in
the three currencies of composition: Gaussian DP (mu, exact or as a bound), Renyi DP, and a
privacy loss distribution.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from math import inf
from typing import TYPE_CHECKING, Any, ClassVar, Self

from ..core.errors import UsageError, require_least
from ..core.names import nearest

if TYPE_CHECKING:
    from ..core.intervals import Floats

# Where each kind of mechanism lives, so that a record's JSON can be composed anew.
KINDS = {
    "composed": "composed:Composed",
    "distributed-gaussian": "distributed_gaussian:DistributedGaussian",
    "gaussian": "sampled_gaussian:SampledGaussian",
    "laplace": "laplace:Laplace",
    "matrix-gaussian": "matrix_gaussian:MatrixGaussian",
    "pure": "pure:PureEpsilon",
    "randomized-response": "randomized_response:RandomizedResponse",
}


@dataclass(frozen=True, kw_only=True)
class Mechanism(ABC):
    """Releases about one unit; subclasses are frozen dataclasses whose fields are JSON values.

    Fields
    ------
    releases : how many are composed, at least 1
    """

    kind: ClassVar[str]

    renyi_only: ClassVar[bool] = False
    """Whether nothing tighter than the Renyi epsilons is known."""

    releases: int = 1

    def __post_init__(self) -> None:
        if isinstance(self.releases, bool) or not isinstance(self.releases, int):
            raise UsageError(f"the number of releases is {self.releases}; use a whole number")
        require_least(self.kind, self, releases=1)

    @property
    @abstractmethod
    def mu(self) -> float | None:
        """Return the exact Gaussian-DP parameter of all releases; None where there is none."""

    @property
    @abstractmethod
    def mu_bound(self) -> float:
        """Return a mu for which all releases are mu-GDP; `inf` where nothing holds."""

    @abstractmethod
    def renyi(self, orders: Floats) -> Floats:
        """Return the Renyi epsilon of all releases at each order above 1; `inf` where unknown."""

    @abstractmethod
    def loss(self, interval: float) -> Any:
        """Return dp-accounting's pessimistic loss distribution of all releases on a grid."""

    @abstractmethod
    def divergence_bits(self) -> float:
        """Return a bound on the bits that all releases tell of one unit's data."""

    @property
    def unprotected(self) -> bool:
        """Return whether there is no noise at all, so that no epsilon holds."""
        return self.mu == inf

    @property
    def pure_epsilon(self) -> float:
        """Return the epsilon of all releases at delta 0; `inf` where none is known."""
        return inf

    def exact_epsilon(self, delta: float) -> tuple[float, str] | None:  # noqa: ARG002
        """Return the exact epsilon at `delta` and its source, or None where none is known."""
        return None

    def once(self) -> Self:
        """Return one release of the same mechanism."""
        return replace(self, releases=1)

    def entered(self) -> Self:
        """Return the mechanism as it protects units that a view is known to hold."""
        return self

    def joined(self, other: Mechanism) -> Mechanism | None:
        """Return one mechanism for the releases of both, or None where they differ."""
        if type(other) is not type(self) or replace(other, releases=self.releases) != self:
            return None
        return replace(self, releases=self.releases + other.releases)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON from which `mechanism_from_json` makes an equal mechanism."""
        return {"kind": self.kind, **asdict(self)}


def mechanism_from_json(content: Mapping[str, Any]) -> Mechanism:
    """Return the mechanism behind `to_json`; `UsageError` for a kind that is not known."""
    fields = dict(content)
    kind = str(fields.pop("kind", ""))
    if kind not in KINDS:
        raise UsageError(f"no mechanism is called {kind!r}{nearest(kind, tuple(KINDS))}")
    module, _, name = KINDS[kind].partition(":")
    built: Mechanism = getattr(import_module(f"{__package__}.{module}"), name)(**fields)
    return built
