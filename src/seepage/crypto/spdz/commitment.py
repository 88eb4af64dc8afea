"""Commit, then open: nobody can choose a value after seeing another's."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

from ..entropy import Entropy
from ..wire import Payload
from .terms import refuse

BLIND_BYTES = 32


class Commitments:
    """One party's side of a round in which every party commits to a value and then opens it.

    `label` says which round it is: with the party's number it is in the hash, so that nobody can
    send another's commitment as its own, or one of another round.
    """

    def __init__(self, label: str, party: int, value: bytes, entropy: Entropy) -> None:
        self._label, self._party, self._size = label, party, len(value)
        self._value, self._blind = value, entropy.bytes(BLIND_BYTES)
        self._others: dict[int, bytes] = {}

    def commitment(self) -> bytes:
        """Return the message to all other parties."""
        return self._hash(self._party, self._value + self._blind)

    def opening(self, commitments: Mapping[int, Payload]) -> bytes:
        """Take all others' commitments; only then return what opens one's own."""
        self._others = {party: bytes(payload) for party, payload in commitments.items()}
        return self._value + self._blind

    def values(self, openings: Mapping[int, Payload]) -> list[bytes]:
        """Return all parties' values, by number; `RefusedError` for what was not committed to."""
        found = {self._party: self._value}
        for party, commitment in self._others.items():
            opened = bytes(openings[party])
            size = self._size + BLIND_BYTES
            if len(opened) != size or self._hash(party, opened) != commitment:
                refuse(f"a {self._label} is not what a party had committed to")
            found[party] = opened[: self._size]
        return [found[party] for party in sorted(found)]

    def _hash(self, party: int, opening: bytes) -> bytes:
        return sha256(f"seepage spdz {self._label} {party}:".encode() + opening).digest()
