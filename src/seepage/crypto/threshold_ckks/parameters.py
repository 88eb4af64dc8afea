"""How much noise a partial decryption needs, and how many bits of a sum that leaves.

Each client i has a key s_i of its own; the key is their sum, and nobody has it. Of the summed
ciphertext (c0, c1) a client publishes c1 s_i + F_i. All of these and c0 add up to the sum of the
messages, plus the ciphertexts' own noise E, plus all F. E depends on the keys, so one honest
client's F has to hide it (smudging: Asharov et al. 2012, EUROCRYPT). For a Gaussian F of
standard deviation S in each coefficient, the total variation distance between what is seen and
what could be made up without the keys is below

    |E| / (S sqrt(2 pi))                                                                 (1)

with the Euclidean norm over all coefficients of a sum's ciphertexts. Numbers stand in the
coefficients themselves, as whole multiples of 2^scale_bits, not in slots: encoding them is exact
then, where a double's rounding would tell more of single vectors than F can hide.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log, log2, pi, sqrt

from ...core.errors import UsageError
from ..ckks.parameters import ERROR_VARIANCE, ODDS, slot_bound
from ..fixed_point import FixedPoint

RING_DEGREE = 4096
PRIME_BITS = 54
MODULUS_BITS = 2 * PRIME_BITS
"""The most below the 109 that the HE Standard allows at this degree, as two equal primes."""

_EXACT_BITS = 46
"""Of a whole number that goes through a transform in doubles and back and can be rounded."""

_FINE_BITS = 44
"""Of the standard deviation of noise, at most, that is as exact."""

_WORD = 32
_LIBRARY_NOISE = 2.0**20
"""Standard deviation of what OpenFHE adds to each partial decryption by itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Flood:
    """The noise of partial decryptions, and the encoding that goes with it.

    Fields
    ------
    clients : whose keys add up to the key, and whose vectors are added
    width : of a vector
    statistical_bits : what is seen differs from what needs no key by less than 2^-this
    """

    clients: int
    width: int
    statistical_bits: int

    @property
    def deviation_bits(self) -> float:
        """log2 of S, which (1) asks for."""
        both = slot_bound(RING_DEGREE, self.clients * ERROR_VARIANCE)
        keys = slot_bound(RING_DEGREE, self.clients)
        # The norm of a polynomial is at most its largest slot; the noise is e0 - e u + s e1.
        norm = (both + 2 * keys * both) * sqrt(ceil(self.width / RING_DEGREE))
        return self.statistical_bits + log2(norm / sqrt(2 * pi))

    @property
    def coarse_bits(self) -> int:
        """log2 of the grid that noise stands on, before finer noise evens it out."""
        return max(ceil(self.deviation_bits) - _FINE_BITS, 0)

    @property
    def scale_bits(self) -> int:
        """log2 of the scale: all noise together is below a quarter of it."""
        each = sqrt(4.0**self.deviation_bits + _LIBRARY_NOISE**2 + 4.0 ** (self.coarse_bits + 4))
        most = each * sqrt(2 * self.clients * log(2 / ODDS))
        return max(ceil(log2(4 * most)), PRIME_BITS)

    def code(self, bound: float) -> FixedPoint:
        """Return the encoding; `UsageError` where the noise leaves no room for one."""
        exact = _EXACT_BITS - (self.scale_bits - PRIME_BITS) + log2(self.clients) + 1
        word = int(min(MODULUS_BITS - 1 - self.scale_bits, exact, _WORD))
        if word < 8:
            raise UsageError(
                f"threshold-ckks: {self.statistical_bits} statistical bits leave no room for the "
                f"sum of {self.clients} vectors of {self.width}: ask for fewer"
            )
        return FixedPoint(self.clients, bound, word)
