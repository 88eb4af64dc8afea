"""Who receives the sum: it alone knows the mask under which parties open it."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from ..protocol import Floats
from ..wire import Payload
from .masks import mask_of, read_keys
from .terms import Terms, refuse, words


class Receiver:
    """The receiver of one sum."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._keys: list[bytes] = []

    def receive_mask(self, payload: Payload) -> None:
        """Take the dealer's message."""
        self._keys = read_keys(payload, self._terms.parties)

    def total(self, inbox: Mapping[int, Payload]) -> Floats:
        """Return the sum from what every party sent after its check.

        Party 0 sends the words, the others a hash of theirs: one party that is honest suffices
        for the sum to be right. Raises `RefusedError` where they differ.
        """
        if sorted(inbox) != list(range(self._terms.parties)):
            refuse("a party did not confirm the sum")
        expected = sha256(inbox[0]).digest()
        if any(bytes(inbox[p]) != expected for p in inbox if p):
            refuse("parties sent the receiver different sums")
        opened: NDArray[np.uint32] = words(inbox[0], self._terms.width, np.uint32).copy()
        for where, mask in mask_of(self._keys, len(opened)):
            np.subtract(opened[where], mask, out=opened[where], casting="same_kind")
        return self._terms.code.decode(opened)
