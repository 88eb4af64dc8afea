"""Several mechanisms in a row: each currency adds up, epsilons at a delta above 0 never do.

Releases M_1 .. M_k about one unit, each chosen after seeing those before, have
mu^2 = sum mu_i^2 (Dong, Roth & Su 2019, corollary 3.3), Renyi epsilon(a) = sum epsilon_i(a)
(Mironov 2017, arXiv 1702.07476, proposition 1), and a privacy loss distribution that is the
convolution of theirs (Koskela et al. 2020, arXiv 1906.03049; Zhu, Dong & Wang 2022,
arXiv 2106.08567, theorem 10). Pure epsilons, at delta 0, do add up (Dwork, McSherry, Nissim &
Smith 2006), and are the least where releases are few.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from functools import reduce
from math import hypot
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..core.errors import UsageError
from .dominating import loss_of_renyi
from .mechanism import Mechanism, mechanism_from_json
from .sampled_gaussian import gaussian_loss

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..core.intervals import Floats


@dataclass(frozen=True, kw_only=True)
class Composed(Mechanism):
    """Mechanisms that all saw the same unit, in whatever order; `compose` makes them.

    Fields
    ------
    parts : the mechanisms (or their JSON), at least one; kept in a canonical order
    """

    kind: ClassVar[str] = "composed"

    releases: int = field(init=False, default=1)
    parts: tuple[Mechanism, ...]

    def __post_init__(self) -> None:
        given = [p if isinstance(p, Mechanism) else mechanism_from_json(p) for p in self.parts]
        if not given:
            raise UsageError("nothing is composed; give at least one mechanism")
        object.__setattr__(self, "parts", _canonical(given))
        object.__setattr__(self, "releases", sum(part.releases for part in self.parts))

    @property
    def mu(self) -> float | None:
        """Return the root of the sum of squares; None where a part is not Gaussian."""
        values = [part.mu for part in self.parts]
        known = [value for value in values if value is not None]
        return hypot(*known) if len(known) == len(values) else None

    @property
    def mu_bound(self) -> float:
        """Return the root of the sum of the parts' squared bounds."""
        return hypot(*(part.mu_bound for part in self.parts))

    @property
    def pure_epsilon(self) -> float:
        """Return the sum of the parts'; `inf` where a part has none."""
        return sum(part.pure_epsilon for part in self.parts)

    @property
    def unprotected(self) -> bool:
        """Return whether a part hides nothing."""
        return any(part.unprotected for part in self.parts)

    def renyi(self, orders: Floats) -> Floats:
        """Return the sum of the parts' Renyi epsilons."""
        return _renyi_of(self.parts, orders)

    def loss(self, interval: float) -> Any:
        """Return the parts' loss distributions convolved.

        Pure Gaussians count as one, and so do parts of which Renyi epsilons alone are known:
        turning their sum into a distribution loses less than turning each.
        """
        exact = hypot(*(part.mu for part in self.parts if part.mu is not None))
        bounded = [part for part in self.parts if part.renyi_only]
        others = [part for part in self.parts if part.mu is None and not part.renyi_only]
        losses: list[Any] = []
        for part, count in Counter(others).items():
            one = part.loss(interval)
            losses.append(one.self_compose(count) if count > 1 else one)
        if bounded:
            losses.append(loss_of_renyi(lambda a: _renyi_of(bounded, a), interval))
        if exact > 0 or not losses:
            losses.append(gaussian_loss(exact, interval))
        return reduce(lambda one, other: one.compose(other), losses)

    def divergence_bits(self) -> float:
        """Return the sum of the parts' bounds, by the chain rule."""
        return sum(part.divergence_bits() for part in self.parts)

    def once(self) -> Composed:
        """Return one release of each part."""
        return Composed(parts=tuple(part.once() for part in self.parts))

    def entered(self) -> Composed:
        """Return every part as it protects units that its view is known to hold."""
        return Composed(parts=tuple(part.entered() for part in self.parts))

    def joined(self, other: Mechanism) -> Mechanism | None:  # noqa: ARG002
        """Return None: parts are joined where they are composed."""
        return None

    def to_json(self) -> dict[str, Any]:
        """Return the parts as JSON."""
        return {"kind": self.kind, "parts": [part.to_json() for part in self.parts]}


def compose(mechanisms: Iterable[Mechanism]) -> Mechanism:
    """Return one mechanism that stands for all; equal ones become one of more releases.

    >>> from seepage.accounting.sampled_gaussian import SampledGaussian
    >>> one = SampledGaussian(noise_multiplier=2.0)
    >>> compose([one, one, one]).releases
    3
    """
    whole = Composed(parts=tuple(mechanisms))
    return whole.parts[0] if len(whole.parts) == 1 else whole


def parts_of(mechanism: Mechanism) -> tuple[Mechanism, ...]:
    """Return the parts of a composed mechanism, or the mechanism alone."""
    return mechanism.parts if isinstance(mechanism, Composed) else (mechanism,)


def _renyi_of(parts: Iterable[Mechanism], orders: Floats) -> Floats:
    return np.sum([part.renyi(orders) for part in parts], axis=0)


def _canonical(mechanisms: Iterable[Mechanism]) -> tuple[Mechanism, ...]:
    """Return the mechanisms without nesting, equal ones joined, in an order of their content."""
    flat = [part for mechanism in mechanisms for part in parts_of(mechanism)]
    joined: list[Mechanism] = []
    for part in sorted(flat, key=_likeness):
        both = joined[-1].joined(part) if joined else None
        if both is None:
            joined.append(part)
        else:
            joined[-1] = both
    return tuple(joined)


def _likeness(mechanism: Mechanism) -> str:
    """Return a key by which mechanisms that differ in their releases alone are neighbors."""
    content = mechanism.to_json()
    releases = content.pop("releases")
    return json.dumps([content, releases], sort_keys=True)
