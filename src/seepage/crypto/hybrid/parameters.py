"""How wide encrypted words are, and how much of clients' keys opening them tells.

BFV (Brakerski 2012, CRYPTO; Fan, Vercauteren 2012, ePrint 2012/144) encrypts whole numbers modulo
t, one in a coefficient, and here t = 2^k. So a mask that is uniform modulo t hides a word
perfectly, whatever it is; and words that add up modulo 2^k do so in the upper k bits of SPU's words
of 64 as well: shares need no conversion.

What is opened is the sum of A ciphertexts: a client's and one of each party, or the parties' alone.
Its noise is, with the e0, e1, u of each of them and the key's own e and s, sums over all clients,

    E = sum e0 - e sum u + s sum e1 + r                                                     (1)

where r is what rounding m Q / t leaves of A words and one that is known, below A + 1. A client
publishes c1 s_i + F_i for a share s_i of the key, as in `threshold_ckks`, and here F_i is uniform
modulo the product P of two of the three primes of Q (OpenFHE's NOISE_FLOODING_MULTIPARTY). One
honest client's hides E: what is seen differs from what could be made up without keys by less than

    sum |E| / P                                                                             (2)

over all coefficients of all that is opened (Asharov et al. 2012, EUROCRYPT, smudging). The third
prime has room for t times all F together.
"""

from __future__ import annotations

from math import ceil, log2

from ..ckks.parameters import ERROR_VARIANCE, slot_bound

RING_DEGREE = 8192
PRIME_BITS = 60
"""Of three primes: 180 bits, of 218 that the HE Standard allows at this degree."""

BITS = 29
"""k: the most for which OpenFHE takes no fourth prime."""

_FLOOD_BITS = 2 * PRIME_BITS


def statistical_bits(clients: int, parties: int, width: int) -> float:
    """Return -log2 of (2), but for odds of 2^-97 that a slot's noise is larger than its bound.

    >>> round(statistical_bits(8, 3, 10**6), 1)
    71.5
    """
    added = parties + 1
    fresh = slot_bound(RING_DEGREE, added * ERROR_VARIANCE)
    products = slot_bound(RING_DEGREE, clients * ERROR_VARIANCE) * slot_bound(RING_DEGREE, added)
    products += slot_bound(RING_DEGREE, clients) * fresh
    most = fresh + products + (added + 1) * RING_DEGREE  # a coefficient is at most a largest slot
    opened = (clients + 1) * ceil(width / RING_DEGREE) * RING_DEGREE
    return _FLOOD_BITS - log2(opened * most)
