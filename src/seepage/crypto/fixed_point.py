"""Real numbers as integers modulo 2^w, so that sums are exact and masks can hide them.

A number x becomes round(x 2^f). The f fractional bits are the most that keep any sum of the
cohort's numbers within a signed word: cohort * (bound 2^f + 1/2) < 2^(w-1). So sums never wrap,
and decoding one is off by at most cohort / 2^(f+1) and a double's rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, isfinite, log2

import numpy as np
from numpy.typing import NDArray

from ..core.errors import RefusedError, UsageError
from .protocol import Floats, Vector

CHUNK = 1 << 16
"""Entries that are handled at a time, so that nothing as long as a vector is allocated."""

_MOST_BITS = 40
"""Of a fraction: what a double holds exactly beside any whole part that is allowed."""


@dataclass(frozen=True, slots=True)
class FixedPoint:
    """The encoding of numbers in [-bound, bound] of which `clients` are added up.

    Fields
    ------
    clients : the most numbers that are added, >= 1
    bound : the most that a number is away from 0, > 0
    word : bits of a word that value and sign may use, 8 to 64
    """

    clients: int
    bound: float
    word: int = 32

    def __post_init__(self) -> None:
        if not (isfinite(self.bound) and self.bound > 0):
            raise UsageError(f"bound is {self.bound}; use a finite number above 0")
        if self.fraction_bits < 1:
            raise UsageError(
                f"bound {self.bound:g} over {self.clients} clients leaves no fractional bit in "
                f"{self.word} bits: use a smaller bound, and scale the vectors to it"
            )

    @property
    def fraction_bits(self) -> int:
        """Bits behind the point."""
        room = 2.0 ** (self.word - 1) / self.clients - 1
        return min(floor(log2(room / self.bound)) if room > 0 else 0, _MOST_BITS)

    @property
    def max_error(self) -> float:
        """The most that a decoded sum is off by: each number rounds by half a step.

        And a large sum, where words are long, once more as a double.
        """
        return self.clients * (2.0 ** -(self.fraction_bits + 1) + self.bound * 2.0**-53)

    def encode(
        self, vector: Vector, into: NDArray[np.uint32] | NDArray[np.uint64], who: str = "a client"
    ) -> None:
        """Write the code of `vector` into words of 32 or 64 bits, negative numbers as wraps.

        Raises `RefusedError` for what is not finite or is out of range: neither is ever wrapped.
        """
        signed = into.view(np.int32 if into.itemsize == 4 else np.int64)
        scale = 2.0**self.fraction_bits
        for start in range(0, len(vector), CHUNK):
            part = self._checked(vector[start : start + CHUNK], start, who)
            part *= scale
            np.rint(part, out=part)
            signed[start : start + CHUNK] = part

    def checked(self, vector: Vector, who: str = "a client") -> Vector:
        """Return `vector`; `RefusedError` for what is not finite or is out of range."""
        for start in range(0, len(vector), CHUNK):
            self._checked(vector[start : start + CHUNK], start, who)
        return vector

    def decode(self, total: NDArray[np.uint32] | NDArray[np.uint64]) -> Floats:
        """Return the numbers whose sums modulo 2^word stand in the low bits of `total`."""
        width = 8 * total.itemsize
        signed = total.view(np.int32 if width == 32 else np.int64)
        if self.word < width:
            signed = (signed << (width - self.word)) >> (width - self.word)
        return signed.astype(np.float64) * 2.0**-self.fraction_bits

    def _checked(self, part: Vector, start: int, who: str) -> Floats:
        found = part.astype(np.float64)
        inside = np.abs(found) <= self.bound  # neither NaN nor inf is
        if not inside.all():
            odd = int(np.flatnonzero(~inside)[0])
            raise RefusedError(
                f"{who}: entry {start + odd} is {found[odd]:g}, and the public bound is "
                f"{self.bound:g}; clip the vector, or raise the bound; nothing was sent"
            )
        return found
