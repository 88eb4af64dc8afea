"""CKKS with SEAL's own classes, which come with TenSEAL: two integers a slot, one prime.

TenSEAL's vectors put one number in a slot, and make each ciphertext under a second prime that
sums have no use for; a complex slot without it halves bytes and time. The aggregator's process
runs this file too, and imports nothing of ours: the standard library, numpy and tenseal only.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SEED_BYTES = 64

seal: Any = import_module("tenseal.sealapi")


class Scheme:
    """Encrypts, adds and decrypts under one ring and one prime."""

    def __init__(self, degree: int, modulus_bits: int, *, insecure: bool = False) -> None:
        self.degree = degree
        level = seal.SEC_LEVEL_TYPE.NONE if insecure else seal.SEC_LEVEL_TYPE.TC128
        self._level, self._bits = level, modulus_bits
        self._context = self._context_of(None)
        self._encoder = seal.CKKSEncoder(self._context)
        self._evaluator = seal.Evaluator(self._context)
        self._files = _Files()

    def secret_key(self, seed: bytes) -> Any:
        """Return the secret key that a seed of `SEED_BYTES` stands for."""
        words = np.frombuffer(seed, np.uint64).tolist()
        seeded = self._context_of(seal.Blake2xbPRNGFactory(words))
        return seal.KeyGenerator(seeded).secret_key()

    def public_key(self, secret: Any) -> bytes:
        """Return a public key, drawn by the system's generator, for a secret one."""
        key = seal.PublicKey()
        seal.KeyGenerator(self._context, secret).create_public_key(key)
        return self._files.written(key)

    def encrypt(
        self, numbers: Iterable[NDArray[np.float64]], scale_bits: int, public: bytes
    ) -> Iterator[bytes]:
        """Yield a ciphertext for each `[degree]` whole numbers."""
        key = seal.PublicKey()
        self._files.read(key, self._context, public)
        encryptor = seal.Encryptor(self._context, key)
        plain, cipher = seal.Plaintext(), seal.Ciphertext(self._context)
        for part in numbers:
            slots: list[complex] = part.view(np.complex128).tolist()
            self._encoder.encode(slots, 2.0**scale_bits, plain)
            encryptor.encrypt(plain, cipher)
            yield self._files.written(cipher)

    def add(self, total: list[Any], upload: Iterable[bytes | memoryview]) -> list[Any]:
        """Return the ciphertexts of an upload added to those of `total`, if there are any."""
        found = [self._ciphertext(raw) for raw in upload]
        if not total:
            return found
        if len(found) != len(total):
            raise ValueError(f"an upload has {len(found)} ciphertexts, and others {len(total)}")
        for cipher, other in zip(total, found, strict=True):
            self._evaluator.add_inplace(cipher, other)
        return total

    def stored(self, total: list[Any]) -> list[bytes]:
        """Return ciphertexts as bytes."""
        return [self._files.written(cipher) for cipher in total]

    def decrypt(self, raw: bytes | memoryview, secret: Any) -> NDArray[np.float64]:
        """Return the numbers in a ciphertext, `[degree]`, off by the noise over the scale.

        `ValueError` where `secret` is no key: SEAL decrypts nothing then.
        """
        decryptor = seal.Decryptor(self._context, secret)
        plain = seal.Plaintext()
        decryptor.decrypt(self._ciphertext(raw), plain)
        return np.array(self._encoder.decode_complex(plain)).view(np.float64)

    def _ciphertext(self, raw: bytes | memoryview) -> Any:
        cipher = seal.Ciphertext()
        self._files.read(cipher, self._context, raw)
        return cipher

    def _context_of(self, generator: Any) -> Any:
        chosen = seal.EncryptionParameters(seal.SCHEME_TYPE.CKKS)
        chosen.set_poly_modulus_degree(self.degree)
        chosen.set_coeff_modulus(seal.CoeffModulus.Create(self.degree, [self._bits]))
        if generator is not None:
            chosen.set_random_generator(generator)
        context = seal.SEALContext(chosen, True, self._level)
        if not context.parameters_set():
            raise ValueError(f"SEAL: {context.parameters_error_message()}")
        return context


class _Files:
    """One file that SEAL, which reads and writes files only, hands bytes over in.

    It lies in memory where the system can do that. No secret key ever goes through it.
    """

    def __init__(self) -> None:
        if hasattr(os, "memfd_create"):
            self._number = os.memfd_create("seal")
            self._path = Path(f"/proc/self/fd/{self._number}")
        else:
            self._number, path = tempfile.mkstemp()
            self._path = Path(path)

    def written(self, thing: Any) -> bytes:
        thing.save(str(self._path))
        return self._path.read_bytes()

    def read(self, thing: Any, context: Any, raw: bytes | memoryview) -> None:
        self._path.write_bytes(raw)
        thing.load(context, str(self._path))

    def __del__(self) -> None:
        os.close(self._number)
        if not self._path.is_relative_to("/proc"):
            self._path.unlink()
