"""What all roles of a sum by SPDZ know beforehand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...core.errors import RefusedError
from ..fixed_point import FixedPoint
from ..wire import Payload

Word = TypeVar("Word", np.uint32, np.uint64)

MODULUS = 1 << 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """The terms of a sum.

    Fields
    ------
    clients, parties : how many there are
    threshold : fewest clients whose sum is revealed
    width : entries of a vector
    bound : public range of an entry
    """

    clients: int
    parties: int
    threshold: int
    width: int
    bound: float

    @property
    def code(self) -> FixedPoint:
        """How vectors are encoded: values are what stands in the low 32 bits of a word."""
        return FixedPoint(self.clients, self.bound, 32)

    @property
    def receiver_mask(self) -> int:
        """The number of the mask that hides the sum; those below it are the clients'."""
        return self.clients


def words(payload: Payload, count: int, dtype: type[Word]) -> NDArray[Word]:
    """Return the `count` words that a message is; `RefusedError` where it is of another length."""
    if len(payload) != count * np.dtype(dtype).itemsize:
        refuse(f"a message has {len(payload)} bytes, which is not what the terms say")
    return np.frombuffer(payload, dtype)


def refuse(reason: str) -> NoReturn:
    """Raise `RefusedError`: the sum is aborted, and nobody is named."""
    raise RefusedError(f"spdz: {reason}; nothing was released")
