"""Lets enough clients stand in for one that is lost: its key under a seal that they share.

A client seals its key's share with 32 bytes that are used for nothing else, and gives each other
client a Shamir share of them. The server keeps what is sealed and passes the shares on, closed.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..entropy import Entropy
from ..masking.keys import AgreementKey, seal, unseal
from ..masking.shamir import SECRET_BYTES, combine, share
from ..packing import pack_numbers

_SHARE, _AGAIN = "share of a key's seal", "share of a lost client's"


class Escrow:
    """One client's: it shares its own seal, and holds shares of the others'."""

    def __init__(self, client: int, entropy: Entropy) -> None:
        self._client, self._entropy = client, entropy
        self._key = AgreementKey(entropy.bytes(32))
        self.seal = entropy.bytes(SECRET_BYTES)

    @property
    def public(self) -> bytes:
        """The key by which others close boxes for this client, 32 bytes."""
        return self._key.public

    def boxes(self, others: Mapping[int, bytes], threshold: int) -> dict[int, bytes]:
        """Return a closed share of the seal for each other client, by its public key."""
        shares = share(self.seal, threshold, [j + 1 for j in others], self._entropy)
        return {
            j: seal(self._agreed(public, _SHARE, self._client, j), shares[j + 1])
            for j, public in others.items()
        }

    def passed_on(self, lost: int, box: bytes, roster: Mapping[int, bytes], to: int) -> bytes:
        """Return the share of a lost client's seal, closed for the client that stands in."""
        opened = unseal(self._agreed(roster[lost], _SHARE, lost, self._client), box)
        if to == self._client:
            return opened
        return seal(self._agreed(roster[to], _AGAIN, lost, self._client), opened)

    def recovered(
        self, lost: int, boxes: Mapping[int, bytes], roster: Mapping[int, bytes]
    ) -> bytes:
        """Return a lost client's seal, from as many passed-on shares as it takes, by client."""
        return combine(
            {
                j + 1: box
                if j == self._client
                else unseal(self._agreed(roster[j], _AGAIN, lost, j), box)
                for j, box in boxes.items()
            }
        )

    def _agreed(self, public: bytes, purpose: str, owner: int, holder: int) -> bytes:
        return self._key.agreed(public, purpose, pack_numbers([owner, holder]), size=32)
