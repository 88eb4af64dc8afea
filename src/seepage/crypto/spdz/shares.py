"""What a party was dealt: its shares of masks, of their MACs and of the MAC key."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..entropy import KeyStream, Scratch
from ..wire import Payload
from .dealer import MAC_KEY_BYTES
from .masks import CHUNK, KEY_BYTES, Words, mask_of, read_keys
from .terms import MODULUS, Terms, refuse, words


class Shares:
    """One party's shares: keys of streams, but the last party's MAC shares stand in full."""

    def __init__(self, party: int, terms: Terms) -> None:
        self._in_full, self._terms = party == terms.parties - 1, terms
        self._alpha = 0
        self._value_keys: dict[int, bytes] = {}
        self._mac_keys: dict[int, bytes] = {}
        self._macs: dict[int, Words] = {}

    def receive_mac_key(self, payload: Payload) -> None:
        """Take the dealer's message with a share of the MAC key alpha."""
        if len(payload) != MAC_KEY_BYTES:
            refuse("the share of the MAC key is torn")
        self._alpha = int.from_bytes(payload, "little")

    def receive_mask(self, mask: int, payload: Payload) -> None:
        """Take the dealer's message with the shares of a client's mask, or of the receiver's."""
        if not self._in_full:
            self._value_keys[mask], self._mac_keys[mask] = read_keys(payload, 2)
            return
        self._macs[mask] = words(memoryview(payload)[KEY_BYTES:], self._terms.width, np.uint64)
        (self._value_keys[mask],) = read_keys(payload[:KEY_BYTES], 1)

    def add_values(self, masks: Sequence[int], total: Words) -> None:
        """Add the shares of some masks to `total`, `[width]`."""
        for where, share in mask_of([self._value_keys[mask] for mask in masks], len(total)):
            total[where] += share

    def mac_share(self, masks: Sequence[int], sent: Words, opened: Words, coin: bytes) -> int:
        """Return a share of alpha * (masks + sent - opened), its entries combined into one.

        The coin's key stream gives the coefficients. All parties' shares add up to 0 modulo 2^64
        if the opened sum is right, and, if the low 32 bits of any entry are not, with a chance of
        at most 2^(-32 + log2(33)) (ePrint 2018/482, section 3).
        """
        coefficients, scratch = KeyStream(coin), Scratch(8 * min(CHUNK, len(opened)))
        macs = public = 0
        keys = [] if self._in_full else [self._mac_keys[mask] for mask in masks]
        for where, share in mask_of(keys, len(opened)):
            for mask in masks if self._in_full else ():
                share += self._macs[mask][where]
            factors = coefficients.words(scratch, len(share), np.uint64)
            macs += int(np.dot(factors, share))
            public += int(np.dot(factors, sent[where] - opened[where]))
        return (macs + self._alpha * public) % MODULUS
