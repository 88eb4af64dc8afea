"""What a client of an encrypted sum does: encrypt, and open the sum if it has the key."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ...core.errors import RefusedError
from ..fixed_point import FixedPoint
from ..packing import pack, unpack
from ..protocol import Floats, Vector
from ..wire import Payload
from .seal_scheme import Scheme

_MOST_OFF = 0.25
"""Of a number that was decrypted, from a whole one: `Parameters.noise` allows no more."""


def encrypted(
    vector: Vector, code: FixedPoint, scheme: Scheme, scale_bits: int, public: bytes
) -> bytearray:
    """Return the ciphertexts of a checked vector, `scheme.degree` entries in each."""
    upload = bytearray()
    for cipher in scheme.encrypt(_codes(vector, code, scheme.degree), scale_bits, public):
        upload += pack(cipher)
    return upload


def opened(
    total: Payload, code: FixedPoint, scheme: Scheme, seed: bytes, *, clients: int, width: int
) -> NDArray[np.uint32]:
    """Return the sum of `clients` codes, `[width]`: whole numbers in range, or nothing at all.

    Raises `RefusedError` for what decrypts to anything else.
    """
    secret = scheme.secret_key(seed)
    parts = [scheme.decrypt(field, secret) for field in unpack(total)]
    found = np.concatenate([*parts, np.empty(0)])[:width]
    whole = np.rint(found)
    most = clients * (code.bound * 2.0**code.fraction_bits + 0.5)
    fits = (np.abs(found - whole) <= _MOST_OFF) & (np.abs(whole) <= most)
    if len(found) != width or not fits.all():
        raise RefusedError(
            "ckks: what was to be decrypted is no sum under this key: it was tampered with, or "
            "made under another key; nothing was released"
        )
    return whole.astype(np.int64).astype(np.uint32)


def _codes(vector: Vector, code: FixedPoint, size: int) -> Iterator[Floats]:
    """Yield the codes of `vector`, `size` at a time, zeros behind the last."""
    words = np.empty(size, np.uint64)
    for start in range(0, len(vector), size):
        part = vector[start : start + size]
        words[len(part) :] = 0
        code.encode(part, words[: len(part)])
        yield words.view(np.int64).astype(np.float64)
