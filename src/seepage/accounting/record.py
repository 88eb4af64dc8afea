"""Fills epsilon records: every figure that belongs to a mechanism's guarantee (DESIGN rule 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from importlib.metadata import version
from math import inf

from ..core.errors import UsageError
from ..core.names import nearest
from ..core.privacy import EpsilonRecord
from ..core.threat import Observer
from .bounds import GaussianProfile, Profile, Unprotected
from .composed import compose, parts_of
from .gaussian import epsilon_of
from .mechanism import Mechanism, mechanism_from_json
from .pld import loss_profile
from .rdp import rdp_epsilon
from .sampled_gaussian import ADJACENCIES, SampledGaussian

RERO_PRIORS = (0.01, 0.001)
FPRS = (0.01, 0.001)
"""False-positive rates at which a record bounds tests of one unit."""

# From here on (epsilon above 500,000) sampling is not worth a distribution's arithmetic.
_HOPELESS = 1000.0
# Where a distribution's exponentials near the end of what floats can hold.
_LARGE = 500.0
UNITS = ("record", "client")
VANTAGES = ("central", "participation-aware", "single-updates")
NOISES = ("simulated", "operating-system")


def profile_of(mechanism: Mechanism, delta: float = 1e-5) -> Profile:
    """Return what all releases of `mechanism` allow an attacker.

    Exact for pure Gaussian DP; else from a privacy loss distribution whose grid suits epsilon
    at `delta`.
    """
    if mechanism.unprotected:
        return Unprotected()
    if mechanism.mu is not None:
        return GaussianProfile(mechanism.mu)
    if _HOPELESS < mechanism.mu_bound < inf:
        return GaussianProfile(mechanism.mu_bound)
    if _beyond_losses(mechanism, delta):
        return Unprotected(mechanism.divergence_bits())
    return loss_profile(mechanism, _checked(delta))


@lru_cache(maxsize=256)
def epsilon_and_accountant(mechanism: Mechanism, delta: float) -> tuple[float, str]:
    """Return the smallest valid epsilon of all releases at `delta`, and who computed it."""
    _checked(delta)
    if mechanism.unprotected:
        return inf, "none (there is no noise)"
    if mechanism.mu is not None:
        return epsilon_of(mechanism.mu, delta), "exact Gaussian DP (Dong et al. 2019)"
    if (exact := mechanism.exact_epsilon(delta)) is not None:
        return exact
    summed = mechanism.pure_epsilon, "pure DP, summed (Dwork et al. 2006)"
    return min(_bounded(mechanism, delta), summed, key=lambda candidate: candidate[0])


def _bounded(mechanism: Mechanism, delta: float) -> tuple[float, str]:
    """Return the smallest epsilon that Gaussian DP, Renyi DP and the losses give."""
    by_mu = epsilon_of(mechanism.mu_bound, delta)
    if _HOPELESS < mechanism.mu_bound < inf:
        return by_mu, "Gaussian DP without amplification"
    library = f"(dp-accounting {version('dp-accounting')})"
    by_rdp = rdp_epsilon(mechanism, delta), f"RDP {library}"
    if _beyond_losses(mechanism, delta):
        return by_rdp
    return min(
        (loss_profile(mechanism, delta).epsilon(delta), f"PLD {library}"),
        by_rdp,
        (by_mu, "Gaussian DP (a bound: Dong et al. 2019)"),
        key=lambda candidate: candidate[0],
    )


def mechanism_record(
    released: Mechanism,
    *,
    mechanism: str,
    delta: float,
    unit: str,
    adjacency: str,
    observer: str,
    trust: str,
    noise: str = "simulated",
) -> EpsilonRecord:
    """Return the whole record of any mechanism, or of several composed.

    `mechanism` and `trust` are sentences; epsilon per release is that of the worst release.
    Without noise, epsilon and bits are `inf` and every bound on success is 1. Raises
    `UsageError` for names that are not known.
    """
    _one_of("unit", unit, UNITS)
    _one_of("adjacency", adjacency, ADJACENCIES)
    _one_of("observer", observer, (*Observer, *VANTAGES))
    _one_of("noise source", noise, NOISES)
    total, accountant = epsilon_and_accountant(released, delta)
    profile = profile_of(released, delta)
    parts = parts_of(released)
    return EpsilonRecord(
        mechanism=mechanism,
        unit=unit,
        adjacency=adjacency,
        observer=str(observer),
        trust=trust,
        delta=delta,
        releases=released.releases,
        per_release_epsilon=max(epsilon_and_accountant(p.once(), delta)[0] for p in parts),
        total_epsilon=total,
        accountant=accountant,
        mu=released.mu,
        information_bits=profile.information_bits,
        rero={f"{prior:g}": profile.rero(prior) for prior in RERO_PRIORS},
        max_tpr={f"{fpr:g}": profile.max_tpr(fpr) for fpr in FPRS},
        max_accuracy=profile.max_accuracy(),
        noise=noise,
        composition=tuple(part.to_json() for part in parts),
    )


def mechanism_of(record: EpsilonRecord) -> Mechanism:
    """Return the mechanism that a record is about; `UsageError` where it does not say."""
    if not record.composition:
        raise UsageError(
            f"the record of {record.mechanism!r} does not say what it is composed of; "
            "make it anew with seepage.accounting"
        )
    return compose(mechanism_from_json(part) for part in record.composition)


def compose_records(records: Sequence[EpsilonRecord], delta: float) -> EpsilonRecord:
    """Return the record of all that `records` are about, at `delta`; order does not matter.

    Their mechanisms are composed, never their epsilons. They must agree in unit, adjacency
    and observer, and all be about the same units' data; else `UsageError`.
    """
    if not records:
        raise UsageError("nothing is composed; give at least one record")
    first = records[0]
    for name in ("unit", "adjacency", "observer"):
        values = sorted({str(getattr(record, name)) for record in records})
        if len(values) > 1:
            raise UsageError(
                f"records of different {name} ({', '.join(values)}) can't be composed; "
                f"account for each {name} on its own"
            )
    names = sorted({record.mechanism for record in records})
    noises = {record.noise for record in records}
    whole = mechanism_record(
        compose(mechanism_of(record) for record in records),
        mechanism="; ".join(names),
        delta=delta,
        unit=first.unit,
        adjacency=first.adjacency,
        observer=first.observer,
        trust="; ".join(sorted({record.trust for record in records})),
        noise=noises.pop() if len(noises) == 1 else "simulated",
    )
    return replace(whole, task="; ".join(sorted({r.task for r in records if r.task})))


def gaussian_record(
    *,
    mechanism: str,
    noise_multiplier: float,
    releases: int,
    delta: float,
    unit: str,
    adjacency: str,
    observer: str,
    trust: str,
    sample_rate: float = 1.0,
    noise: str = "simulated",
    sensitivity: float = 1.0,
) -> EpsilonRecord:
    """Return the whole record of `releases` of a (Poisson-sampled) Gaussian mechanism.

    The noise's standard deviation is `noise_multiplier` clipping norms; a unit's presence
    changes a release by at most `sensitivity` clipping norms (twice that under `replace`).
    `mechanism` and `trust` are sentences. Without noise, epsilon and bits are `inf` and
    every bound on success is 1. Raises `UsageError` for values that make no mechanism.
    """
    if not 0 < sensitivity < inf:
        raise UsageError(f"sensitivity is {sensitivity}; use a finite number above 0")
    released = SampledGaussian(
        noise_multiplier=noise_multiplier / sensitivity,
        sample_rate=sample_rate,
        releases=releases,
        adjacency=adjacency,
    )
    return mechanism_record(
        released,
        mechanism=mechanism,
        delta=delta,
        unit=unit,
        adjacency=adjacency,
        observer=observer,
        trust=trust,
        noise=noise,
    )


def unprotected_record(
    *,
    mechanism: str,
    releases: int,
    delta: float,
    unit: str,
    adjacency: str,
    observer: str,
    trust: str,
) -> EpsilonRecord:
    """Return a record that says that nothing holds against `observer`."""
    record = gaussian_record(
        mechanism=mechanism,
        noise_multiplier=0.0,
        releases=releases,
        delta=delta,
        unit=unit,
        adjacency=adjacency,
        observer=observer,
        trust=trust,
    )
    return replace(record, accountant="none (this observer sees what is not noised)")


def _beyond_losses(mechanism: Mechanism, delta: float) -> bool:
    """Whether Renyi epsilons alone bound it, and losses are beyond a distribution's range."""
    return mechanism.mu_bound == inf and rdp_epsilon(mechanism, _checked(delta)) > _LARGE


def _checked(delta: float) -> float:
    if not 0 < delta < 1:
        raise UsageError(f"delta is {delta}; use a number between 0 and 1, such as 1e-5")
    return delta


def _one_of(what: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UsageError(f"no {what} is called {value!r}{nearest(value, known)}")
