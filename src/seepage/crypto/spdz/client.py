"""A client: it sends its vector under a mask that no party knows."""

from __future__ import annotations

from hashlib import sha256

import numpy as np

from ..protocol import Vector, client_name
from ..wire import Payload
from .masks import mask_of, read_keys
from .terms import Terms, refuse

CONTEXT_BYTES = 32


class Client:
    """A client of one sum."""

    def __init__(self, index: int, terms: Terms) -> None:
        self._name, self._terms = client_name(index), terms
        self._keys: list[bytes] = []

    def receive_mask(self, payload: Payload) -> None:
        """Take the dealer's message."""
        self._keys = read_keys(payload, self._terms.parties)

    def upload(self, vector: Vector, context: bytes = b"") -> bytearray:
        """Return the message to every party: a hash of `context`, and x - r modulo 2^32.

        Parties add r modulo 2^64 to it. So what they share has the value x in its low 32 bits
        and uniform bits above them, half the bytes are sent, and opened sums show no more.

        Raises `RefusedError` for a vector that can't be encoded, and for a second one: under one
        mask their difference would show.
        """
        if not self._keys:
            refuse(f"{self._name} has no mask that is not used yet")
        if len(vector) != self._terms.width:
            refuse(f"{self._name}: a vector has {len(vector)} entries, not {self._terms.width}")
        message = bytearray(CONTEXT_BYTES + 4 * len(vector))
        message[:CONTEXT_BYTES] = sha256(context).digest()
        hidden = np.frombuffer(message, np.uint32, offset=CONTEXT_BYTES)
        self._terms.code.encode(vector, hidden, self._name)
        keys, self._keys = self._keys, []
        for where, mask in mask_of(keys, len(vector)):
            np.subtract(hidden[where], mask, out=hidden[where], casting="same_kind")
        return message
