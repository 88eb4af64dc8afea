"""What parties compute of vectors that stay shared: how numbers are coded, and the exact error."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, isfinite, sqrt
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...core.errors import RefusedError, UsageError
from ..fixed_point import FixedPoint
from ..protocol import Floats, Vector
from .networks import layers, rank_sum
from .parties import FRACTION_BITS

STEP = 2.0**-FRACTION_BITS

WORD = 62
"""Bits of SPU's 64: the difference of two numbers, or of one and the bound, can't wrap."""

_MOST_SQUARE = 2.0 ** (62 - 2 * FRACTION_BITS)
"""Of a norm, in clip norms: a product has twice the fractional bits before it is truncated."""


def kept_ranks(reduction: str, clients: int, trim: int) -> range:
    """Return the ranks of a coordinate that are averaged (all are added up for a sum).

    Raises `UsageError` where trimming leaves nothing.

    >>> kept_ranks("median", 8, 0), kept_ranks("trimmed-mean", 8, 2)
    (range(3, 5), range(2, 6))
    """
    if reduction == "median":
        trim = (clients - 1) // 2
    elif reduction == "sum":
        trim = 0
    if clients <= 2 * trim:
        raise UsageError(
            f"trimming {trim} of {clients} clients at each end leaves none: use a smaller trim"
        )
    return range(trim, clients - trim)


@dataclass(frozen=True, kw_only=True)
class RankSum:
    """The sum or mean of some ranks of each coordinate, in whole numbers: exact but for the code.

    Fields
    ------
    code : of the numbers
    rows : vectors that are there
    ranks : that are added up
    divisor : of the sum
    clamp : hold shared entries to the bound
    """

    dtype: ClassVar[str] = "<i8"

    code: FixedPoint
    rows: int
    ranks: range
    divisor: int
    clamp: bool

    @property
    def _most(self) -> int:
        return ceil(self.code.bound * 2.0**self.code.fraction_bits)

    @property
    def program(self) -> dict[str, Any]:
        """What the parties compile."""
        return {
            "kind": "ranks",
            "ranks": list(self.ranks),
            "layers": layers(rank_sum(self.rows, self.ranks)),
            "clamp": self._most if self.clamp else None,
        }

    def encode(self, vector: Vector, who: str) -> NDArray[np.int64]:
        """Return the code of a vector; `RefusedError` for what is out of range."""
        words = np.empty(len(vector), np.uint64)
        self.code.encode(vector, words, who)
        return words.view(np.int64)

    def decode(self, total: NDArray[Any]) -> Floats:
        """Return the numbers of a result; `RefusedError` for one that no vectors in range have."""
        _require_within(total, len(self.ranks) * self._most)
        return self.code.decode(total.view(np.uint64)) / self.divisor

    @property
    def max_error(self) -> float:
        """The most that an entry is off by: a rank moves by no more than the numbers do."""
        return len(self.ranks) / self.divisor / 2.0 ** (self.code.fraction_bits + 1)


@dataclass(frozen=True, kw_only=True)
class ClippedSum:
    """The sum of vectors, each scaled down to an L2 norm where it is longer, in fixed point.

    Vectors are coded in units of `clip_norm`, so that the factor is min(1, 1 / norm).

    Fields
    ------
    code : whose range vectors are checked against
    rows : vectors that are there
    width : entries of a vector
    clip_norm : the longest that one is left as it is, > 0
    clamp : hold shared entries to the bound
    """

    dtype: ClassVar[str] = "<f8"

    code: FixedPoint
    rows: int
    width: int
    clip_norm: float
    clamp: bool

    def __post_init__(self) -> None:
        if not (isfinite(self.clip_norm) and self.clip_norm > 0):
            raise UsageError(f"clip_norm is {self.clip_norm}; use a finite number above 0")
        if self.width * self._most**2 >= _MOST_SQUARE:
            fits = self.clip_norm * sqrt(_MOST_SQUARE / self.width)
            raise UsageError(
                f"a vector of {self.width} entries within {self.code.bound:g} may be too long for "
                f"clip norm {self.clip_norm:g} in words of 64 bits: use a bound below {fits:.2g}"
            )

    @property
    def _most(self) -> float:
        return ceil(self.code.bound / self.clip_norm / STEP) * STEP

    @property
    def program(self) -> dict[str, Any]:
        """What the parties compile."""
        return {"kind": "clip", "clamp": self._most if self.clamp else None}

    def encode(self, vector: Vector, who: str) -> Floats:
        """Return a vector on SPU's grid; `RefusedError` for what is out of range."""
        checked = self.code.checked(vector, who)
        found = np.divide(checked, self.clip_norm * STEP, dtype=np.float64)
        np.rint(found, out=found)
        return np.multiply(found, STEP, out=found)

    def decode(self, total: NDArray[Any]) -> Floats:
        """Return the numbers of a result; `RefusedError` for one that no clipped vectors have."""
        found = total.astype(np.float64) * self.clip_norm
        _require_within(found, self.rows * self.clip_norm + self.max_error)
        return found

    @property
    def max_error(self) -> float:
        """The most that an entry is off by.

        Of each vector: coding moves an entry v by half a step, and the norm n by sqrt(width) / 2
        of them, which moves 1 / n by no more than 1 / n^2 times that, and v / n by
        |v| / n^2 <= min(1, `_most`) times; n is 1 at least. The factor is right to 4 steps for
        entries up to `_most`. All products together are truncated once.
        """
        each = 0.5 + 0.5 * sqrt(self.width) * min(1.0, self._most) + 4.0 * self._most
        return (self.rows * each + 1.0) * STEP * self.clip_norm


def _require_within(total: NDArray[Any], most: float) -> None:
    if ((total > most) | (total < -most)).any():
        raise RefusedError(
            "the result is out of the range of any honest one: a client shared numbers beyond "
            "the public bound; nothing was released"
        )
