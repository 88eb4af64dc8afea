"""Fills epsilon records: every figure that belongs to a mechanism's guarantee (DESIGN rule 4)."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from importlib.metadata import version
from math import inf

from ..core.errors import UsageError
from ..core.names import nearest
from ..core.privacy import EpsilonRecord
from ..core.threat import Observer
from .bounds import GaussianProfile, Profile, Unprotected
from .gaussian import epsilon_of, sampled_epsilon_of
from .pld import loss_profile
from .rdp import rdp_epsilon
from .sampled_gaussian import SampledGaussian

RERO_PRIORS = (0.01, 0.001)
# From here on (epsilon above 500,000) sampling is not worth a distribution's arithmetic.
_HOPELESS = 1000.0
UNITS = ("record", "client")
NOISES = ("simulated", "operating-system")


def profile_of(mechanism: SampledGaussian, delta: float = 1e-5) -> Profile:
    """Return what all releases of `mechanism` allow an attacker.

    Exact where every unit enters every release; else from a privacy loss distribution whose
    grid suits epsilon at `delta`.
    """
    if mechanism.noise_multiplier == 0:
        return Unprotected()
    if not mechanism.amplified or mechanism.mu_unsampled > _HOPELESS:
        return GaussianProfile(mechanism.mu_unsampled)
    return loss_profile(mechanism, _checked(delta))


@lru_cache(maxsize=256)
def epsilon_and_accountant(mechanism: SampledGaussian, delta: float) -> tuple[float, str]:
    """Return the smallest valid epsilon of all releases at `delta`, and who computed it."""
    _checked(delta)
    if mechanism.noise_multiplier == 0:
        return inf, "none (there is no noise)"
    if not mechanism.amplified:
        return epsilon_of(mechanism.mu_unsampled, delta), "exact Gaussian DP (Dong et al. 2019)"
    if mechanism.releases == 1 and mechanism.adjacency != "replace":
        epsilon = sampled_epsilon_of(mechanism.mu_unsampled, mechanism.sample_rate, delta)
        return epsilon, "exact sampled Gaussian (Balle et al. 2018)"
    if mechanism.mu_unsampled > _HOPELESS:
        return epsilon_of(mechanism.mu_unsampled, delta), "Gaussian DP without amplification"
    library = f"(dp-accounting {version('dp-accounting')})"
    by_pld = loss_profile(mechanism, delta).epsilon(delta)
    by_rdp = rdp_epsilon(mechanism, delta)
    return (by_pld, f"PLD {library}") if by_pld <= by_rdp else (by_rdp, f"RDP {library}")


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
    _one_of("unit", unit, UNITS)
    _one_of("observer", observer, tuple(Observer))
    _one_of("noise source", noise, NOISES)
    total, accountant = epsilon_and_accountant(released, delta)
    profile = profile_of(released, delta)
    return EpsilonRecord(
        mechanism=mechanism,
        unit=unit,
        adjacency=adjacency,
        observer=str(observer),
        trust=trust,
        delta=delta,
        releases=releases,
        per_release_epsilon=epsilon_and_accountant(released.once(), delta)[0],
        total_epsilon=total,
        accountant=accountant,
        mu=released.mu,
        information_bits=profile.information_bits,
        rero={f"{prior:g}": profile.rero(prior) for prior in RERO_PRIORS},
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


def _checked(delta: float) -> float:
    if not 0 < delta < 1:
        raise UsageError(f"delta is {delta}; use a number between 0 and 1, such as 1e-5")
    return delta


def _one_of(what: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UsageError(f"no {what} is called {value!r}{nearest(value, known)}")
