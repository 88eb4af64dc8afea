"""Shamir's secret sharing of 32 bytes, over the field of the least prime above 2^256."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...core.errors import RefusedError
from ..entropy import Entropy

PRIME = 2**256 + 297
SECRET_BYTES, SHARE_BYTES = 32, 33


def share(
    secret: bytes, threshold: int, points: Sequence[int], entropy: Entropy
) -> dict[int, bytes]:
    """Return a share for each point (distinct, not 0): any `threshold` of them give the secret.

    Fewer are independent of it (Shamir 1979): the polynomial's other coefficients are uniform.
    """
    coefficients = [int.from_bytes(secret, "big")]
    coefficients += [entropy.below(PRIME) for _ in range(threshold - 1)]
    found: dict[int, bytes] = {}
    for point in points:
        value = 0
        for coefficient in reversed(coefficients):
            value = (value * point + coefficient) % PRIME
        found[point] = value.to_bytes(SHARE_BYTES, "big")
    return found


def combine(shares: Mapping[int, bytes]) -> bytes:
    """Return the secret that shares give, by point; `RefusedError` where they give none.

    Exactly as many as the threshold, or more of one polynomial: others give another secret.
    """
    total = 0
    for point, value in shares.items():
        above = below = 1
        for other in shares:
            if other != point:
                above = above * other % PRIME
                below = below * (other - point) % PRIME
        total += int.from_bytes(value, "big") * above * pow(below, -1, PRIME)
    secret = total % PRIME
    if secret >> (8 * SECRET_BYTES):
        raise RefusedError("shares of a secret do not fit together: one was tampered with")
    return secret.to_bytes(SECRET_BYTES, "big")
