"""Masks that are the sum of a key stream a party, so that keys are all that has to be sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ..entropy import KeyStream, Scratch
from ..wire import Payload
from .terms import refuse

KEY_BYTES = 16

CHUNK = 1 << 14
"""Words at a time: what is worked on stays in the cache of a core."""

Words = NDArray[np.uint64]


def mask_of(keys: Sequence[bytes], width: int) -> Iterator[tuple[slice, Words]]:
    """Yield the sum of key streams modulo 2^64, part by part: where it stands, and its words.

    The words are overwritten by the next part. Without keys they are 0.
    """
    streams = [KeyStream(key) for key in keys]
    scratch = Scratch(8 * min(CHUNK, width))
    total = np.empty(min(CHUNK, width), np.uint64)
    for start in range(0, width, CHUNK):
        part = total[: width - start]
        part.fill(0)
        for stream in streams:
            part += stream.words(scratch, len(part), np.uint64)
        yield slice(start, start + len(part)), part


def read_keys(payload: Payload, count: int) -> list[bytes]:
    """Return the `count` keys that a message is; `RefusedError` where it is of another length."""
    raw = bytes(payload)
    if len(raw) != count * KEY_BYTES:
        refuse(f"a message has {len(raw)} bytes, and is to be {count} keys")
    return [raw[at : at + KEY_BYTES] for at in range(0, len(raw), KEY_BYTES)]
