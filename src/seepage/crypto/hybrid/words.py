"""Whole numbers modulo 2^bits: signed, drawn, and in the upper bits of SPU's words of 64."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..entropy import Entropy

Words = NDArray[np.int64]


def raised(words: NDArray[Any], bits: int) -> Words:
    """Return words in the upper bits of 64, where they wrap as they do modulo 2^bits."""
    return words.astype(np.int64) << (64 - bits)


def signed(words: NDArray[Any], bits: int) -> Words:
    """Return words as numbers in [-2^(bits - 1), 2^(bits - 1)).

    >>> signed(np.array([7, 8, 15, -9]), 4).tolist()
    [7, -8, -1, 7]
    """
    return raised(words, bits) >> (64 - bits)


def drawn(shape: tuple[int, ...], bits: int, entropy: Entropy) -> Words:
    """Return words that are uniform modulo 2^bits, of at most 32 bits."""
    count = int(np.prod(shape))
    found = np.frombuffer(entropy.bytes(4 * count), np.uint32)
    return signed(found, bits).reshape(shape)
