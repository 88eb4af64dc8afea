"""The Gaussian mechanism under Poisson sampling: what every accountant here takes."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import inf, isfinite, log, sqrt
from typing import Any, ClassVar

import numpy as np

from ..core.errors import UsageError
from ..core.intervals import Floats
from ..core.names import nearest
from .gaussian import sampled_epsilon_of
from .mechanism import Mechanism

ADJACENCIES = ("add-remove", "replace", "zero-out")


@dataclass(frozen=True, kw_only=True)
class SampledGaussian(Mechanism):
    """Releases of a clipped sum plus Gaussian noise.

    Fields
    ------
    noise_multiplier : noise standard deviation / clipping norm, >= 0
    sample_rate : probability with which each unit enters a release, in (0, 1]; below 1
        it must be true Poisson sampling that the observer does not see
    releases : number of releases, >= 1
    adjacency : `add-remove`, `zero-out` (both of sensitivity one clipping norm) or
        `replace` (two)
    view : number of releases that a view of one round covers, >= 1
    known : number of releases of which the observer knows that the unit entered them
    """

    kind: ClassVar[str] = "gaussian"

    noise_multiplier: float
    sample_rate: float = 1.0
    adjacency: str = "add-remove"
    view: int = 1
    known: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.noise_multiplier >= 0 and isfinite(self.noise_multiplier)):
            raise UsageError(
                f"noise_multiplier is {self.noise_multiplier}; use a finite number of 0 or more"
            )
        if not 0 < self.sample_rate <= 1:
            raise UsageError(
                f"sample_rate is {self.sample_rate}; use a number above 0 and at most 1"
            )
        if not (isinstance(self.view, int) and self.view >= 1):
            raise UsageError(
                f"the number of releases in a view is {self.view}; use a whole number, at least 1"
            )
        if not 0 <= self.known <= self.releases:
            raise UsageError(f"{self.known} of {self.releases} releases can't be known")
        require_adjacency(self.adjacency)

    @property
    def sensitivity(self) -> float:
        """Return the L2 sensitivity of a release in clipping norms."""
        return 2.0 if self.adjacency == "replace" else 1.0

    @property
    def amplified(self) -> bool:
        """Return whether sampling hides the unit in at least one release."""
        return self.sample_rate < 1 and self.known < self.releases

    @property
    def mu(self) -> float | None:
        """Return the Gaussian-DP parameter of all releases; None where units are sampled."""
        return None if self.amplified else self.mu_bound

    @property
    def mu_bound(self) -> float:
        """Return mu of all releases if every unit entered each: sampling only lowers it."""
        if self.noise_multiplier == 0:
            return inf
        return self.sensitivity / self.noise_multiplier * sqrt(self.releases)

    @property
    def unprotected(self) -> bool:
        """Return whether there is no noise: what is sampled at least once lies open."""
        return self.noise_multiplier == 0

    def exact_epsilon(self, delta: float) -> tuple[float, str] | None:
        """Return the exact epsilon of one sampled release under add-remove or zero-out."""
        if self.releases > 1 or self.adjacency == "replace" or self.unprotected:
            return None
        rate = 1.0 if self.known else self.sample_rate
        epsilon = sampled_epsilon_of(self.mu_bound, rate, delta)
        return epsilon, "exact sampled Gaussian (Balle et al. 2018)"

    def renyi(self, orders: Floats) -> Floats:
        """Return the Renyi epsilons (Mironov, Talwar & Zhang 2019, arXiv 1908.10530).

        Under `replace` no bound of Poisson sampling is known to dp-accounting, so there that
        of releases which every unit enters stands in: sampling only lowers it.
        """
        if self.unprotected:
            return np.full_like(orders, inf)
        whole = (self.sensitivity / self.noise_multiplier) ** 2 * orders / 2
        if not self.amplified or self.adjacency == "replace":
            return self.releases * whole
        sampled = _sampled_renyi(self.noise_multiplier, self.sample_rate, orders)
        return (self.releases - self.known) * sampled + self.known * whole

    def loss(self, interval: float) -> Any:
        """Return the loss distribution of all releases; `noise_multiplier` is > 0."""
        if self.mu is not None:
            return gaussian_loss(self.mu, interval)
        from dp_accounting import NeighboringRelation
        from dp_accounting.pld.privacy_loss_distribution import from_gaussian_mechanism

        relation = {
            "add-remove": NeighboringRelation.ADD_OR_REMOVE_ONE,
            "zero-out": NeighboringRelation.REPLACE_SPECIAL,
            "replace": NeighboringRelation.REPLACE_ONE,
        }[self.adjacency]
        total = from_gaussian_mechanism(
            self.noise_multiplier,
            value_discretization_interval=interval,
            sampling_prob=self.sample_rate,
            neighboring_relation=relation,
        )
        if (sampled := self.releases - self.known) > 1:
            total = total.self_compose(sampled)
        if self.known:
            known = self.sensitivity / self.noise_multiplier * sqrt(self.known)
            total = total.compose(gaussian_loss(known, interval))
        return total

    def once(self) -> SampledGaussian:
        """Return one release of the same mechanism."""
        return replace(self, releases=1, view=1, known=min(self.known, 1))

    def entered(self) -> SampledGaussian:
        """Return the mechanism as it protects records that a view is known to hold.

        Who asks how well the records behind a view are reconstructed has let out that they
        were sampled: the releases of that view are not amplified, the others are.
        """
        return replace(self, known=max(self.known, min(self.view, self.releases)))

    def joined(self, other: Mechanism) -> Mechanism | None:
        """Return one mechanism for both where they differ in their releases alone."""
        if not isinstance(other, SampledGaussian):
            return None
        if replace(other, releases=self.releases, known=self.known) != self:
            return None
        releases, known = self.releases + other.releases, self.known + other.known
        return replace(self, releases=releases, known=known)

    def divergence_bits(self) -> float:
        """Return the Kullback-Leibler divergence of all releases, in bits.

        With P = (1-q) N(0, s^2) + q N(1, s^2) and Q = N(0, s^2) (for `replace` its mirror
        image, with mean -1) it is the larger of KL(P||Q) and KL(Q||P), times the number of
        releases: the chain rule makes it additive even when each depends on those before.
        It bounds the mutual information with one unit's data. `noise_multiplier` is > 0.
        """
        here = 1.0
        there = -1.0 if self.adjacency == "replace" else 0.0
        forward = self._expected_loss(here, there)
        sampled = max(forward, self._expected_loss(there, here), 0.0)
        whole = (self.sensitivity / self.noise_multiplier) ** 2 / 2
        return ((self.releases - self.known) * sampled + self.known * whole) / log(2)

    def _expected_loss(self, truth: float, other: float) -> float:
        """Return E[log p_truth - log p_other] under the mixture of `truth`, by quadrature."""
        z = np.linspace(-13.0, 13.0, 8001)
        weights = np.exp(-(z**2) / 2)
        weights /= weights.sum()
        total = 0.0
        for share, mean in ((1 - self.sample_rate, 0.0), (self.sample_rate, truth)):
            x = mean + self.noise_multiplier * z
            loss = self._log_ratio(x, truth) - self._log_ratio(x, other)
            total += share * float(weights @ loss)
        return total

    def _log_ratio(self, x: Floats, mean: float) -> Floats:
        """Return log((1-q) + q N(x; mean) / N(x; 0))."""
        q = self.sample_rate
        exponent = mean * (2 * x - mean) / (2 * self.noise_multiplier**2)
        if q == 1:
            return exponent
        # log1p keeps the digits where the ratio is near 1, logaddexp where it overflows.
        near = np.abs(exponent) < 1
        small = np.log1p(q * np.expm1(np.where(near, exponent, 0.0)))
        return np.where(near, small, np.logaddexp(np.log1p(-q), log(q) + exponent))


def require_adjacency(adjacency: str) -> None:
    """Raise `UsageError` for an adjacency that is not known, with the nearest name."""
    if adjacency not in ADJACENCIES:
        raise UsageError(f"no adjacency is called {adjacency!r}{nearest(adjacency, ADJACENCIES)}")


def gaussian_loss(mu: float, interval: float) -> Any:
    """Return the pessimistic loss distribution of mu-GDP on a grid; mu is finite."""
    from dp_accounting.pld.privacy_loss_distribution import from_gaussian_mechanism, identity

    if mu == 0:
        return identity(interval)
    return from_gaussian_mechanism(1 / mu, value_discretization_interval=interval)


def _sampled_renyi(noise_multiplier: float, sample_rate: float, orders: Floats) -> Floats:
    """Return the Renyi epsilons of one Poisson-sampled release, by dp-accounting."""
    import dp_accounting
    from dp_accounting.rdp.rdp_privacy_accountant import RdpAccountant

    class Curve(RdpAccountant):
        """The library's accountant, with the curve that it composes."""

        def values(self) -> Floats:
            """Return the Renyi epsilon at each order."""
            return np.asarray(self._rdp)

    curve = Curve(list(orders))
    event = dp_accounting.GaussianDpEvent(noise_multiplier)
    with _without_order_warnings():
        curve.compose(dp_accounting.PoissonSampledDpEvent(sample_rate, event))
    return curve.values()


@contextmanager
def _without_order_warnings() -> Generator[None]:
    """Drop dp-accounting's notice that a fractional order did not converge.

    It leaves that order out, which can only loosen the bound.
    """
    import logging

    logger = logging.getLogger("absl")

    def keep(record: logging.LogRecord) -> bool:
        """Whether a message is about anything else."""
        return "failed to converge" not in record.getMessage()

    logger.addFilter(keep)
    try:
        yield
    finally:
        logger.removeFilter(keep)
