"""Which CKKS parameters are secure, and how many bits of a sum survive their noise.

A ciphertext (c0, c1) is made under the public key (b = -(a s + e), a) as (b u + e0 + m, a u + e1)
with ternary s and u and small e, e0, e1 (Cheon et al. 2017, ASIACRYPT, section 3.4). K of them
that are added up decrypt to the sum of the m plus the noise

    sum e0 - e sum u + s sum e1                                                          (1)

A slot is its value at a root of unity. The real part of a polynomial of N independent
coefficients of variance proxy v there has the proxy N v / 2 (the squared cosines add up to N / 2),
and so has its imaginary part. So each is within sqrt(N v ln(4 / d)) with probability 1 - d / 2
(Boucheron, Lugosi, Massart 2013, section 2.3), and the value within

    R(v) = sqrt(2 N v ln(4 / d))                                                         (2)

Slots hold integers. Where (1) stays below a quarter of the scale, rounding gives exactly their
sum: what is handed on depends on nothing but the vectors. Noise that were handed on would tell
the secret key (IND-CPA-D: Li, Micciancio 2021, EUROCRYPT); there is none left to flood.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log, log2, sqrt

from ...core.errors import UsageError
from ..fixed_point import FixedPoint

MOST_MODULUS_BITS = {1024: 27, 2048: 54, 4096: 109, 8192: 218, 16384: 438, 32768: 881}
"""By ring degree, for 128-bit security with ternary keys (Albrecht et al. 2018, HE Standard)."""

ERROR_VARIANCE = 10.5
"""Of e: SEAL takes the sum of 42 centered coins, each of variance 1/4; OpenFHE's is 10.2."""

ODDS = 2.0**-100
"""d of (2): of a slot whose noise is larger than it may be."""

_WORD = 32
"""Bits of a sum, at most: it is handed on in words of this size."""

_PRIME_BITS = (20, 60)
"""What SEAL takes as one prime that is wide enough to be of use here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameters:
    """The ring and the modulus, one prime: sums need no multiplication, so no more.

    Fields
    ------
    degree : N, of the ring: a power of two, 1,024 to 32,768; a ciphertext holds N numbers
    modulus_bits : of the prime, 20 to 60
    insecure_toy : allow what is not 128-bit secure; for tests only
    """

    degree: int
    modulus_bits: int
    insecure_toy: bool = False

    def __post_init__(self) -> None:
        if self.degree not in MOST_MODULUS_BITS:
            known = ", ".join(map(str, MOST_MODULUS_BITS))
            raise UsageError(f"ckks: poly_modulus_degree is {self.degree}; use one of {known}")
        low, high = _PRIME_BITS
        if not low <= self.modulus_bits <= high:
            raise UsageError(f"ckks: modulus_bits is {self.modulus_bits}; use {low} to {high}")
        if self.modulus_bits > MOST_MODULUS_BITS[self.degree] and not self.insecure_toy:
            raise UsageError(
                f"ckks: {self.modulus_bits} modulus bits at degree {self.degree} are less than "
                f"128-bit secure (the HE Standard allows {MOST_MODULUS_BITS[self.degree]}): use a "
                "larger degree, or insecure_toy=True where nothing is worth protecting"
            )

    def noise(self, clients: int) -> float:
        """Return what (1) stays below in every slot, times the scale, but for odds of 2^-97."""
        fresh = slot_bound(self.degree, clients * ERROR_VARIANCE)
        products = slot_bound(self.degree, ERROR_VARIANCE) * slot_bound(self.degree, clients)
        products += slot_bound(self.degree, 1) * fresh
        encoding = clients * self.degree / 2  # each coefficient is rounded once
        # Higham 2002, theorem 24.2, for the two transforms, in doubles.
        transforms = 8 * log2(self.degree) * sqrt(self.degree) * 2.0 ** (self.modulus_bits - 53)
        return fresh + products + encoding + transforms

    def scale_bits(self, clients: int) -> int:
        """Return log2 of the scale; a slot's noise is below a quarter of it."""
        return max(ceil(log2(4 * self.noise(clients))), self.modulus_bits - 1 - _WORD)

    def code(self, clients: int, bound: float) -> FixedPoint:
        """Return the encoding whose sums fit beside the noise.

        A complex slot of two sums below 2^(w-1) makes coefficients below sqrt(2) 2^(w-1) scale,
        which are to be below half the modulus. Raises `UsageError` where that leaves no bits.
        """
        word = min(self.modulus_bits - 1 - self.scale_bits(clients), _WORD)
        if word < 8:
            raise UsageError(
                f"ckks: {self.modulus_bits} modulus bits leave no room for the sum of {clients} "
                "vectors beside the noise: use more"
            )
        return FixedPoint(clients, bound, word)


def slot_bound(degree: int, variance: float) -> float:
    """Return (2): what a slot of noise stays below, but for odds of `ODDS`."""
    return sqrt(2 * degree * variance * log(4 / ODDS))
