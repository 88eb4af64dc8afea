"""Where keys, masks and shares come from: the system's generator, or a seed in a simulation."""

from __future__ import annotations

import os
from hashlib import sha256
from typing import TypeVar

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

Word = TypeVar("Word", np.uint32, np.uint64)


class Entropy:
    """A source of random bytes: the operating system's CSPRNG, or AES-256-CTR under a seed.

    A seed makes a simulation repeatable. Nothing is secret from who knows it.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._stream = None
        if seed is not None:
            key = sha256(f"seepage entropy {seed}".encode()).digest()
            self._stream = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()

    def bytes(self, size: int) -> bytes:
        """Return `size` random bytes."""
        return self._stream.update(bytes(size)) if self._stream else os.urandom(size)

    def below(self, bound: int) -> int:
        """Return an integer in [0, `bound`), uniform, by rejection."""
        size = (bound.bit_length() + 7) // 8
        excess = 8 * size - bound.bit_length()
        while (drawn := int.from_bytes(self.bytes(size), "big") >> excess) >= bound:
            pass
        return drawn

    def numpy_rng(self) -> np.random.Generator:
        """Return a numpy generator for draws that need not be secret."""
        return np.random.default_rng(int.from_bytes(self.bytes(32), "big"))


class KeyStream:
    """The AES-128-CTR key stream of one key, read word by word; no key may be used twice.

    A key is 16 uniform bytes, made for one stream: so the counter starts at 0.
    """

    def __init__(self, key: bytes) -> None:
        self._cipher = Cipher(algorithms.AES128(key), modes.CTR(bytes(16))).encryptor()

    def words(self, scratch: Scratch, count: int, dtype: type[Word]) -> NDArray[Word]:
        """Return the next `count` words, which stand in `scratch` until it is used again."""
        size = count * np.dtype(dtype).itemsize
        self._cipher.update_into(scratch.zeros[:size], scratch.room)
        return np.frombuffer(scratch.room, dtype, count)


class Scratch:
    """Memory that key streams of up to `size` bytes at a time are written to, again and again."""

    def __init__(self, size: int) -> None:
        self.zeros = memoryview(bytes(size))
        self.room = bytearray(size + 16)  # update_into asks for a block more than it writes
