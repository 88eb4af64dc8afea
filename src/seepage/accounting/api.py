"""The public functions of accounting."""

from __future__ import annotations

from ..core.errors import UsageError
from ..core.names import nearest
from ..core.privacy import EpsilonRecord
from .bounds import Profile
from .deployment import Deployment
from .record import gaussian_record
from .vantage import calibrated, record_of

METRICS = ("identification_rate", "tpr_at_1pct_fpr", "tpr_at_01pct_fpr", "auc")


def epsilon(
    noise_multiplier: float,
    sample_rate: float,
    steps: int,
    delta: float,
    adjacency: str = "add-remove",
    unit: str = "record",
    observer: str = "honest-server",
) -> EpsilonRecord:
    """Return the honest epsilon record of `steps` noisy sums of clipped contributions.

    `noise_multiplier` is the noise's standard deviation over the clipping norm, and
    `sample_rate` the probability with which each unit enters a step. A rate below 1 counts
    as amplification only because the record's trust line says that `observer` can't see
    who was sampled. Raises `UsageError` for values that make no mechanism.
    """
    sampled = f", Poisson sampling at rate {sample_rate:g}" if sample_rate < 1 else ""
    blind = f"the observer sees every release, but not which {unit}s were sampled"
    return gaussian_record(
        mechanism=f"Gaussian, noise multiplier {noise_multiplier:g}{sampled}",
        noise_multiplier=noise_multiplier,
        sample_rate=sample_rate,
        releases=steps,
        delta=delta,
        unit=unit,
        adjacency=adjacency,
        observer=observer,
        trust=blind if sampled else "the observer sees every release",
    )


def epsilon_record(
    noise_multiplier: float | None = None,
    *,
    release_epsilon: float | None = None,
    target_epsilon: float | None = None,
    mechanism: str = "gaussian",
    sample_rate: float = 1.0,
    releases: int = 1,
    delta: float = 1e-5,
    adjacency: str | None = None,
    unit: str = "record",
    observer: str = "central",
    clients: int | None = None,
    participations: int | None = None,
    min_separation: int | None = None,
    categories: int | None = None,
    dimension: int | None = None,
    granularity: float | None = None,
) -> EpsilonRecord:
    """Return the honest epsilon record of what a person runs; see `Deployment` for the names.

    >>> record = epsilon_record(release_epsilon=1.5, releases=500)
    >>> round(record.total_epsilon, 1)
    73.6
    """
    run = Deployment(
        noise_multiplier=noise_multiplier,
        release_epsilon=release_epsilon,
        target_epsilon=target_epsilon,
        mechanism=mechanism,
        sample_rate=sample_rate,
        releases=releases,
        delta=delta,
        adjacency=adjacency,
        unit=unit,
        observer=observer,
        clients=clients,
        participations=participations,
        min_separation=min_separation,
        categories=categories,
        dimension=dimension,
        granularity=granularity,
    )
    return record_of(calibrated(run))


def success_bound(profile: Profile, metric: str, prior: float) -> float:
    """Return the largest value of `metric` that any attack could reach under `profile`.

    `prior` is the success of the best guess without a view, in [0, 1]; only
    `identification_rate` depends on it. That rate is taken over the records behind a view,
    so it is bounded given that they were sampled; membership is asked of records of which
    nobody says so. `metric` is one of `METRICS`, else `UsageError`.
    """
    match metric:
        case "identification_rate":
            return profile.given_sampled.rero(prior)
        case "tpr_at_1pct_fpr":
            return profile.max_tpr(0.01)
        case "tpr_at_01pct_fpr":
            return profile.max_tpr(0.001)
        case "auc":
            return profile.max_auc()
        case _:
            raise UsageError(f"no bound is known for {metric!r}{nearest(metric, METRICS)}")
