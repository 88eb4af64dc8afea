"""The CKKS ring of threshold sums in OpenFHE, with whole numbers in its coefficients.

OpenFHE encodes slots. A polynomial's slots are its values at the odd powers of a 2N-th root of
unity, in the order of the powers of 5, so two FFTs lead from coefficients to slots and back.
Both processes run this file under OpenFHE's Python: it imports nothing of ours.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

fhe: Any = import_module("openfhe")


def add_into(context: Any, sums: dict[str, list[Any]], name: str, ciphers: list[Any]) -> None:
    """Add ciphertexts, one by one, to those that `sums` holds under a name."""
    if not sums.get(name):
        sums[name] = ciphers
        return
    for cipher, other in zip(sums[name], ciphers, strict=True):
        context.EvalAddInPlace(cipher, other)


class Ring:
    """A ring of 128-bit security with two primes, and what is done in it."""

    def __init__(self, context: Any) -> None:
        self.context = context
        self.degree: int = context.GetRingDimension()
        features = fhe.PKESchemeFeature
        for feature in (features.PKE, features.LEVELEDSHE, features.MULTIPARTY):
            context.Enable(feature)
        self.prime_bits = int(np.log2(context.GetScalingFactorReal(0)))
        self._roots = np.exp(1j * np.pi * np.arange(self.degree) / self.degree)
        powers = [pow(5, j, 2 * self.degree) for j in range(self.degree // 2)]
        self._order = np.array(powers) // 2

    @classmethod
    def new(cls, degree: int, prime_bits: int) -> Ring:
        """Return the ring; OpenFHE raises where it is not secure."""
        chosen = fhe.CCParamsCKKSRNS()
        chosen.SetSecurityLevel(fhe.SecurityLevel.HEStd_128_classic)
        chosen.SetRingDim(degree)
        chosen.SetBatchSize(degree // 2)
        chosen.SetMultiplicativeDepth(1)
        chosen.SetFirstModSize(prime_bits)
        chosen.SetScalingModSize(prime_bits)
        chosen.SetScalingTechnique(fhe.ScalingTechnique.FIXEDMANUAL)
        chosen.SetCKKSDataType(fhe.CKKSDataType.COMPLEX)
        # The other technique takes a third prime into account, which sums have no use for.
        chosen.SetKeySwitchTechnique(fhe.KeySwitchTechnique.BV)
        return cls(fhe.GenCryptoContext(chosen))

    def encrypt(self, codes: Floats, scale_bits: int, public: Any) -> Any:
        """Return the ciphertext of `[degree]` whole numbers times 2^scale_bits."""
        scaled = codes * 2.0 ** (scale_bits - self.prime_bits)
        return self.context.Encrypt(public, self._plain(scaled, 2))

    def flooded(self, part: Any, deviation_bits: float, coarse_bits: int) -> Any:
        """Return a partial decryption with Gaussian noise that is exact to the last bit.

        Doubles hold 53 bits and the noise has more: so it is drawn on a grid of 2^coarse_bits,
        and evened out by noise of 16 steps of that grid.
        """
        # Nothing, as a ciphertext: what is added to it has no noise but its own.
        nothing = self.context.EvalSub(part, part)
        nothing.SetNoiseScaleDeg(1)
        nothing.SetScalingFactor(2.0**self.prime_bits)
        for deviation, grid in ((deviation_bits, coarse_bits), (coarse_bits + 4, 0)):
            drawn = np.rint(_normal(self.degree) * 2.0 ** (deviation - grid))
            noise = self.context.EvalAdd(nothing, self._plain(drawn, 1))
            # A product by 2^x is one by the whole number 2^(x + prime_bits).
            part = self.context.EvalAdd(
                part, self.context.EvalMult(noise, 2.0 ** (grid - self.prime_bits))
            )
        return part

    def opened(self, parts: Any, scale_bits: int) -> Floats:
        """Return the numbers, `[degree]`, that all partial decryptions together give."""
        plain = self.context.MultipartyDecryptFusion([parts])
        plain.SetLength(self.degree // 2)
        slots = np.asarray(plain.GetCKKSPackedValueArray())
        values = np.empty(self.degree, np.complex128)
        values[self._order] = slots
        values[-1 - self._order] = slots.conj()
        coefficients = (np.fft.fft(values) / self.degree * self._roots.conj()).real
        return coefficients * 2.0 ** (2 * self.prime_bits - scale_bits)

    def _plain(self, numbers: Floats, primes: int) -> Any:
        """Return whole numbers as a plaintext, times 2^prime_bits if `primes` is 2."""
        slots = (np.fft.ifft(numbers * self._roots) * self.degree)[self._order]
        return self.context.MakeCKKSPackedPlaintext(slots * 2.0**-self.prime_bits, primes)


def written(thing: Any) -> bytes:
    """Return a context, key or ciphertext as bytes."""
    return fhe.Serialize(thing, fhe.BINARY)


def context_from(raw: Any) -> Any:
    """Return the context that was written."""
    return fhe.DeserializeCryptoContextString(bytes(raw), fhe.BINARY)


def ciphertext_from(raw: Any) -> Any:
    """Return the ciphertext that was written."""
    return fhe.DeserializeCiphertextString(bytes(raw), fhe.BINARY)


def _normal(size: int) -> Floats:
    """Return standard normals of the system's generator (Box, Muller 1958)."""
    words = np.frombuffer(os.urandom(8 * size), np.uint64).reshape(2, -1)
    radius = np.sqrt(-2 * np.log((words[0] + 1.0) * 2.0**-64))
    angle = words[1] * (2 * np.pi * 2.0**-64)
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])
