"""A deployment as its observer meets it: the mechanism, and the sentences that say so."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

from ..core.errors import UsageError
from .calibration import calibrate
from .distributed_gaussian import DistributedGaussian
from .gaussian import mu_of
from .laplace import Laplace
from .matrix_gaussian import MatrixGaussian
from .pure import PureEpsilon
from .randomized_response import RandomizedResponse
from .record import mechanism_record
from .sampled_gaussian import SampledGaussian

if TYPE_CHECKING:
    from ..core.privacy import EpsilonRecord
    from .deployment import Deployment
    from .mechanism import Mechanism


def record_of(run: Deployment) -> EpsilonRecord:
    """Return the whole epsilon record of `run`, which has no open target."""
    return mechanism_record(
        as_met(run),
        mechanism=sentence(run),
        delta=run.delta,
        unit=run.unit,
        adjacency=run.neighbors,
        observer=run.observer,
        trust=trust(run),
    )


def calibrated(run: Deployment) -> Deployment:
    """Return `run` with the least noise that meets its target, where it has one."""
    if run.target_epsilon is None:
        return run
    noise = calibrate(lambda z: as_met(run.at(z)), run.target_epsilon, run.delta)
    return run.at(noise)


def as_met(run: Deployment) -> Mechanism:
    """Return the mechanism that `run` is to its observer; it has no open target."""
    central = run.observer == "central"
    releases = run.releases if central else run.entered
    match run.mechanism:
        case "gaussian":
            share = sqrt(run.clients) if run.observer == "single-updates" and run.clients else 1.0
            return SampledGaussian(
                noise_multiplier=noise_of(run) / share,
                sample_rate=run.sample_rate if central else 1.0,
                releases=releases,
                adjacency=run.neighbors,
            )
        case "laplace":
            return Laplace(
                noise_multiplier=noise_of(run), releases=releases, adjacency=run.neighbors
            )
        case "matrix-gaussian":
            return _matrix(run)
        case "distributed-gaussian":
            return _distributed(run, releases)
        case "randomized-response":
            return RandomizedResponse(
                epsilon=_release_epsilon(run), categories=run.categories or 2, releases=releases
            )
        case _:
            return PureEpsilon(epsilon=_release_epsilon(run), releases=releases)


def noise_of(run: Deployment) -> float:
    """Return the noise multiplier, as given or as the epsilon of a release implies it."""
    if run.noise_multiplier is not None:
        return run.noise_multiplier
    epsilon = _release_epsilon(run)
    if epsilon == 0:
        raise UsageError("an epsilon of 0 needs endless noise; use one above 0")
    sensitivity = 2.0 if run.neighbors == "replace" else 1.0
    loss = epsilon if run.mechanism == "laplace" else mu_of(epsilon, run.delta)
    return sensitivity / loss


def sentence(run: Deployment) -> str:
    """Return what was run, with its noise."""
    if run.mechanism in ("randomized-response", "pure"):
        return f"{run.mechanism}, epsilon {run.release_epsilon:g} a release"
    noise = f"noise multiplier {noise_of(run):.4g}"
    sampled = f", Poisson sampling at rate {run.sample_rate:g}" if run.sample_rate < 1 else ""
    return f"{run.mechanism}, {noise}{sampled}"


def trust(run: Deployment) -> str:
    """Return what the statement assumes that the observer can't see."""
    source = "as stated" if run.participations is not None else "expected, not worst-case"
    took_part = f"{run.entered} participations of each {run.unit} ({source})"
    match run.observer:
        case "participation-aware":
            return f"the observer sees every release and knows who took part: {took_part}"
        case "single-updates":
            return (
                f"the observer knows who took part and sees the updates of {run.clients} clients "
                f"that share the noise: {took_part}"
            )
        case _:
            pass
    if run.mechanism == "matrix-gaussian":
        matrix = _matrix(run)
        return (
            f"each {run.unit} enters at most {matrix.participations} of the steps, at least "
            f"{matrix.min_separation} apart; the observer sees every release"
        )
    if run.mechanism == "distributed-gaussian":
        return f"the observer sees sums alone, with the noise of {run.clients} honest clients"
    if run.sample_rate < 1:
        return f"the observer sees every release, but not which {run.unit}s were sampled"
    return "the observer sees every release"


def _matrix(run: Deployment) -> MatrixGaussian:
    return MatrixGaussian(
        noise_multiplier=noise_of(run),
        releases=run.releases,
        participations=run.entered,
        min_separation=run.min_separation or 1,
        adjacency=run.neighbors,
    )


def _distributed(run: Deployment, releases: int) -> Mechanism:
    honest, dimension, granularity = run.clients, run.dimension, run.granularity
    if honest is None or dimension is None or granularity is None:
        raise UsageError("distributed-gaussian needs --clients, --dimension and --granularity")
    return DistributedGaussian(
        noise_multiplier=noise_of(run) / sqrt(honest),
        honest=honest,
        dimension=dimension,
        granularity=granularity,
        releases=releases,
        adjacency=run.neighbors,
    )


def _release_epsilon(run: Deployment) -> float:
    if run.release_epsilon is None:
        raise UsageError("give --release-epsilon, or the noise")
    if not run.release_epsilon >= 0:
        raise UsageError(f"release_epsilon is {run.release_epsilon}; use 0 or more")
    return run.release_epsilon
