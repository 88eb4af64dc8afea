"""The dealer: all randomness of a sum, dealt out before any vector is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..entropy import Entropy
from ..wire import Payload
from .masks import KEY_BYTES, mask_of
from .terms import Terms

MAC_KEY_BYTES = 4


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DealtMask:
    """One mask r: the message to who masks with it, and those to the parties."""

    owner: Payload
    parties: tuple[Payload, ...]


class Dealer:
    """Deals masks and the parties' shares of them. It must forget all of it then.

    Its offline phase stands in for one that parties run by oblivious transfer (ePrint 2018/482,
    section 4): it is trusted, and receives nothing.
    """

    def __init__(self, terms: Terms, entropy: Entropy) -> None:
        self._terms, self._entropy = terms, entropy
        # Of 32 bits each: their sum is taken modulo 2^64, as all is.
        self._mac_keys = [entropy.bytes(MAC_KEY_BYTES) for _ in range(terms.parties)]

    def mac_key(self, party: int) -> bytes:
        """Return the message with a party's share of the MAC key alpha."""
        return self._mac_keys[party]

    def deal(self) -> DealtMask:
        """Return a fresh mask r, dealt.

        Party p's share of r is a key stream, and whose mask it is gets all the keys. Its share of
        alpha r is another; the last party's is what is missing then, 8 bytes an entry.
        """
        parties, width = self._terms.parties, self._terms.width
        value_keys = [self._entropy.bytes(KEY_BYTES) for _ in range(parties)]
        mac_keys = [self._entropy.bytes(KEY_BYTES) for _ in range(parties - 1)]
        last = bytearray(KEY_BYTES + 8 * width)
        last[:KEY_BYTES] = value_keys[-1]
        missing = np.frombuffer(last, np.uint64, offset=KEY_BYTES)
        alpha = np.uint64(sum(int.from_bytes(key, "little") for key in self._mac_keys))
        both = zip(mask_of(value_keys, width), mask_of(mac_keys, width), strict=True)
        for (where, mask), (_, shares) in both:
            np.multiply(mask, alpha, out=missing[where])
            missing[where] -= shares
        pairs = zip(value_keys[:-1], mac_keys, strict=True)
        return DealtMask(
            owner=b"".join(value_keys), parties=(*(value + mac for value, mac in pairs), last)
        )
