"""The training that is done under encryption, in the open, and how records lie in slots.

Gradient descent on the mean logistic loss (Kim et al. 2018, BMC Medical Genomics 11:83): with
z = +-(features, 1) for a sick and a healthy patient, and weights w,

    w <- w + rate / n * sum over records of p(z w) z                                      (1)

where p is the cubic nearest to the logistic function t -> 1 / (1 + e^t) on [-margin, margin].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log2

import numpy as np
from numpy.typing import NDArray

from ...core.errors import RefusedError, UsageError, require_least
from ..protocol import Floats

WEIGHT_BOUND = 8.0
"""Weights are encrypted as multiples of it: bootstrapping takes numbers in [-1, 1]."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """How a logistic regression is trained.

    Fields
    ------
    rounds : passes over all records, >= 1
    rate : learning rate, > 0; weights have to stay within `WEIGHT_BOUND`
    margin : the logistic function is imitated on [-margin, margin], > 0
    """

    rounds: int = 6
    rate: float = 1.0
    margin: float = 6.0

    def __post_init__(self) -> None:
        require_least("logistic", self, rounds=1)
        for name in ("rate", "margin"):
            if not 0 < getattr(self, name) < np.inf:
                raise UsageError(f"logistic: {name} is {getattr(self, name)}; use one above 0")

    @property
    def cubic(self) -> tuple[float, float, float]:
        """Coefficients of 1, t and t^3 of p; it has none of t^2, for p(t) - 1/2 is odd."""
        grid = np.linspace(-self.margin, self.margin, 1001)
        fit = np.polynomial.Polynomial.fit(grid, 1 / (1 + np.exp(grid)), 3).convert().coef
        return 0.5, float(fit[1]), float(fit[3])

    def weights(self, records: Floats, *, exact: bool = False) -> Floats:
        """Return the weights, `[d]`, that (1) gives from signed records, `[n, d]`.

        With the logistic function itself in the place of p where `exact`.
        """
        one, linear, cube = self.cubic
        found = np.zeros(records.shape[1])
        for _ in range(self.rounds):
            at = records @ found
            slope = 1 / (1 + np.exp(at)) if exact else one + linear * at + cube * at**3
            found = found + self.rate / len(records) * (slope @ records)
        return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """Records row by row in blocks of `slots`, each padded to a power of two.

    Fields
    ------
    slots : of a ciphertext, a power of two
    columns : numbers of a record, the constant 1 among them
    """

    slots: int
    columns: int

    def __post_init__(self) -> None:
        if self.width > self.slots:
            raise UsageError(f"logistic: {self.columns} columns; use at most {self.slots}")

    @property
    def width(self) -> int:
        """Slots of a record."""
        return 2 ** ceil(log2(self.columns))

    @property
    def rows(self) -> int:
        """Records in a block."""
        return self.slots // self.width

    def blocks(self, records: Floats, start: int = 0) -> dict[int, Floats]:
        """Return records, `[n, columns]`, whose first is number `start`, as blocks, `[slots]`."""
        found: dict[int, Floats] = {}
        for number, record in enumerate(records, start):
            block = found.setdefault(number // self.rows, np.zeros(self.slots))
            at = number % self.rows * self.width
            block[at : at + self.columns] = record
        return found


def signed_records(features: Floats, labels: NDArray[np.int64], who: str) -> Floats:
    """Return z for each record; `RefusedError` for features outside [-1, 1] and odd labels."""
    if len(features) != len(labels) or not len(labels):
        raise RefusedError(f"{who}: there are {len(features)} records and {len(labels)} labels")
    if not (np.abs(features) <= 1).all():
        raise RefusedError(f"{who}: features have to be in [-1, 1]; nothing was sent")
    if not np.isin(labels, (0, 1)).all():
        raise RefusedError(f"{who}: labels have to be 0 or 1; nothing was sent")
    return with_constant(features) * (2.0 * labels - 1)[:, None]


def with_constant(features: Floats) -> Floats:
    """Return records, `[n, d + 1]`, with a 1 behind their features."""
    return np.column_stack([features, np.ones(len(features))])


def same_width(features: Sequence[Floats]) -> int:
    """Return the number of features that all clients have; `UsageError` where they differ."""
    found = sorted({f.shape[1:] for f in features})
    if len(found) != 1 or len(found[0]) != 1:
        raise UsageError(f"logistic: features have to be of shape [n, d], alike; they are {found}")
    return found[0][0]
