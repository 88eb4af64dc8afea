"""Noise placed by layer: factors on the noise's deviation, and what they do to sensitivity.

A step is a Gaussian release whose mu is the largest ||D / sigma|| over all sums D that clipping
lets one record move. Clipped together, a record may put its whole norm into the layer with the
least noise, so that layer counts. Clipped by layer, it is at most C_l in each: the squares of
C_l / sigma_l add up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isfinite

from ....accounting.per_coordinate import whitened_sensitivity
from ....core.errors import RefusedError, UsageError
from .record_groups import Groups

Factors = Mapping[str, float]
"""Prefix of parameter names -> factor on the noise's deviation; 1 where none fits."""


def factors_of(owner: str, given: Factors | None) -> dict[str, float]:
    """Return the factors checked; raise `UsageError` where they are none."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise UsageError(
            f"{owner}: noise_by_layer is {given!r}; map prefixes of parameter names to factors"
        )
    for prefix, factor in given.items():
        if not (isinstance(factor, int | float) and factor > 0 and isfinite(factor)):
            raise UsageError(
                f"{owner}: noise_by_layer of {prefix!r} is {factor!r}; use a finite number above 0"
            )
    return {str(prefix): float(factor) for prefix, factor in given.items()}


def factor_of(factors: Factors, name: str) -> float:
    """Return the factor of a parameter: that of the longest prefix that its name has.

    >>> factor_of({"0.": 2.0, "": 0.5}, "0.weight"), factor_of({"0.": 2.0}, "1.weight")
    (2.0, 1.0)
    """
    fitting = [prefix for prefix in factors if name.startswith(prefix)]
    return factors[max(fitting, key=len)] if fitting else 1.0


def require_found(owner: str, factors: Factors, names: Iterable[str]) -> None:
    """Raise `RefusedError` where a prefix fits no parameter: its layer would lack the noise."""
    names = list(names)
    for prefix in factors:
        if not any(name.startswith(prefix) for name in names):
            raise RefusedError(
                f"{owner}: noise_by_layer names {prefix!r}, with which no parameter begins; "
                f"the model has {', '.join(names)}"
            )


def least_factor(factors: Factors) -> float:
    """Return the least factor that any parameter could have, whatever the model is.

    >>> least_factor({"0.": 2.0}), least_factor({"0.": 2.0, "": 1.5})
    (1.0, 1.5)
    """
    return min([*factors.values(), *([] if "" in factors else [1.0])])


def sensitivity(factors: Factors, groups: Groups) -> float:
    """Return the largest ||D / factor|| of a gradient D that is clipped in `groups`.

    In clipping norms where the groups' norms are.
    """
    least = [min(factor_of(factors, name) for name in names) for names in groups]
    return whitened_sensitivity(
        least, max_norm=sum(norm**2 for norm in groups.values()) ** 0.5, caps=list(groups.values())
    )
