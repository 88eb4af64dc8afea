"""Adds key streams to words, and takes them away: chunk by chunk, in place."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ..entropy import KeyStream, Scratch
from ..fixed_point import CHUNK


def add_masks(words: NDArray[np.uint32], plus: Iterable[bytes], minus: Iterable[bytes]) -> None:
    """Add the mask of each key of `plus` to `words`, modulo 2^32, and subtract `minus`'."""
    scratch = Scratch(4 * CHUNK)
    adding = [KeyStream(key) for key in plus]
    taking = [KeyStream(key) for key in minus]
    for start in range(0, len(words), CHUNK):
        part = words[start : start + CHUNK]
        for stream in adding:
            part += stream.words(scratch, len(part), np.uint32)
        for stream in taking:
            part -= stream.words(scratch, len(part), np.uint32)
