"""What a person says they run, and what it gives away to an observer at a vantage.

The same noise is worth different epsilons to different eyes. Who sees sums alone, and not who
was sampled, gets the amplified figure (`central`). Who knows who took part gets no
amplification: K whole releases (`participation-aware`). Who also sees the updates of n clients
that share the noise meets one share of it, 1 / sqrt(n) of its deviation (`single-updates`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil

from ..core.errors import UsageError, require_least
from ..core.names import nearest
from .record import VANTAGES

MECHANISMS = (
    "gaussian",
    "laplace",
    "matrix-gaussian",
    "distributed-gaussian",
    "randomized-response",
    "pure",
)
_BY_EPSILON = ("randomized-response", "pure")


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """Releases of a mechanism, at a vantage; names as on the command line.

    Fields
    ------
    noise_multiplier, release_epsilon, target_epsilon : one of the three: noise / clipping norm
        (of the whole sum; for `distributed-gaussian` of the fewest honest clients' noise), or
        epsilon of a single release at `delta` (pure where the mechanism is), or the total
        epsilon for which to find the noise
    mechanism : one of `MECHANISMS`
    sample_rate : chance of Poisson sampling with which each unit enters a release
    releases : number of releases
    delta : of the total
    adjacency : `add-remove`, `replace` or `zero-out`; the mechanism's own where None
    unit : `record` or `client`
    observer : `central`, `participation-aware` or `single-updates`
    clients : number n of clients that share the noise
    participations : releases that one unit enters; where None the expected number (all of
        them for `matrix-gaussian`)
    min_separation : of `matrix-gaussian`: least distance between two participations
    categories : of `randomized-response`
    dimension, granularity : of `distributed-gaussian`: coordinates, grid / clipping norm
    """

    noise_multiplier: float | None = None
    release_epsilon: float | None = None
    target_epsilon: float | None = None
    mechanism: str = "gaussian"
    sample_rate: float = 1.0
    releases: int = 1
    delta: float = 1e-5
    adjacency: str | None = None
    unit: str = "record"
    observer: str = "central"
    clients: int | None = None
    participations: int | None = None
    min_separation: int | None = None
    categories: int | None = None
    dimension: int | None = None
    granularity: float | None = None

    def __post_init__(self) -> None:
        _known("mechanism", self.mechanism, MECHANISMS)
        _known("observer", self.observer, VANTAGES)
        require_least("epsilon", self, releases=1)
        if not 0 < self.delta < 1:
            raise UsageError(f"delta is {self.delta}; use a number between 0 and 1, such as 1e-5")
        if not 0 < self.sample_rate <= 1:
            raise UsageError(
                f"sample_rate is {self.sample_rate}; use a number above 0 and at most 1"
            )
        if self.clients is not None:
            require_least("epsilon", self, clients=1)
        if self.participations is not None:
            require_least("epsilon", self, participations=1)
        _check_noise(self)
        _check_vantage(self)
        _check_settings(self)

    @property
    def neighbors(self) -> str:
        """Return the adjacency that is meant."""
        if self.adjacency is not None:
            return self.adjacency
        defaults = {"randomized-response": "replace", "distributed-gaussian": "zero-out"}
        return defaults.get(self.mechanism, "add-remove")

    @property
    def entered(self) -> int:
        """Return how many releases one unit enters: as given, else expected."""
        if self.participations is not None:
            return min(self.participations, self.releases)
        return max(1, ceil(self.sample_rate * self.releases - 1e-9))

    def at(self, noise_multiplier: float) -> Deployment:
        """Return the deployment at another noise."""
        return replace(self, noise_multiplier=noise_multiplier, target_epsilon=None)


def _check_noise(given: Deployment) -> None:
    """Raise `UsageError` unless exactly one thing says how much noise there is."""
    names = ("noise_multiplier", "release_epsilon", "target_epsilon")
    said = [_flag(name) for name in names if getattr(given, name) is not None]
    if not said:
        raise UsageError(f"how much noise? give one of {', '.join(map(_flag, names))}")
    if len(said) > 1:
        raise UsageError(f"{' and '.join(said)} contradict each other; give one of them")
    if given.mechanism in _BY_EPSILON and given.release_epsilon is None:
        raise UsageError(f"{given.mechanism} has no noise multiplier; give --release-epsilon")
    if given.release_epsilon is not None:
        if given.mechanism in ("matrix-gaussian", "distributed-gaussian"):
            raise UsageError(f"{given.mechanism} has no epsilon of a release; say its noise")
        if given.sample_rate < 1 and given.observer == "central":
            raise UsageError(
                "--release-epsilon says what a release gives away, so --sample-rate can't lower "
                "it; leave one out"
            )


def _check_vantage(given: Deployment) -> None:
    """Raise `UsageError` for flags that mean nothing to this observer."""
    gaussian = given.mechanism == "gaussian"
    if given.observer == "single-updates":
        if not gaussian or given.release_epsilon is not None:
            raise UsageError(
                "single-updates is of Gaussian noise that clients share; give --noise-multiplier "
                "or --target-epsilon with --mechanism gaussian"
            )
        if given.clients is None:
            raise UsageError("single-updates needs --clients, the number that share the noise")
    elif given.clients is not None and not (
        given.mechanism == "distributed-gaussian"
        # To one who knows who took part in sums it makes no difference how many share the noise.
        or given.observer == "participation-aware"
    ):
        raise UsageError("--clients is of --observer single-updates; leave it out or add that")
    if given.participations is not None:
        if given.participations > given.releases:
            raise UsageError(
                f"{given.participations} participations in {given.releases} releases can't be"
            )
        if given.observer == "central" and given.mechanism != "matrix-gaussian":
            raise UsageError(
                "--participations is of an observer who knows them; add --observer "
                "participation-aware or single-updates"
            )
    if not gaussian and given.sample_rate < 1 and given.observer == "central":
        raise UsageError(
            f"sampling is accounted for with gaussian, not with {given.mechanism}; leave "
            "--sample-rate out"
        )
    if given.mechanism == "matrix-gaussian" and given.observer != "central":
        raise UsageError("matrix-gaussian counts participations itself; leave --observer out")


def _check_settings(given: Deployment) -> None:
    """Raise `UsageError` where a mechanism lacks a setting, or has one of another."""
    owners = {
        "min_separation": "matrix-gaussian",
        "categories": "randomized-response",
        "dimension": "distributed-gaussian",
        "granularity": "distributed-gaussian",
    }
    for name, owner in owners.items():
        if getattr(given, name) is not None and given.mechanism != owner:
            raise UsageError(f"{_flag(name)} is of --mechanism {owner}; leave it out")
    if given.mechanism == "distributed-gaussian":
        needed = ("clients", "dimension", "granularity")
        lacking = [_flag(name) for name in needed if getattr(given, name) is None]
        if lacking:
            raise UsageError(f"distributed-gaussian needs {', '.join(lacking)}")
    if given.mechanism == "randomized-response" and given.neighbors != "replace":
        raise UsageError("randomized-response hides which value it is: use --adjacency replace")


def _known(what: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UsageError(f"no {what} is called {value!r}{nearest(value, known)}")


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
