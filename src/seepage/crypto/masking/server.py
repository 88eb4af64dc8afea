"""The server of a masked sum: it forwards what it can't read, and removes the masks of the sum."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from ...core.errors import RefusedError
from ..packing import pack, pack_numbers, unpack, unpack_numbers
from ..protocol import Floats
from ..wire import Payload
from .client import seed_commitment
from .keys import MASK_KEY_BYTES, AgreementKey, own_mask_key
from .masks import add_masks
from .roster import Roster, SignedKeys
from .shamir import SHARE_BYTES, combine
from .terms import Terms

Messages = Mapping[int, Payload]
"""What clients sent, by client; who sent nothing has dropped out."""


class MaskingServer:
    """One round of the server: each method takes a stage's messages, and says what to send next.

    `RefusedError` where too few clients are left, or what they sent does not fit: the round is
    over and nothing is released.
    """

    def __init__(self, number: int, terms: Terms, model: bytes = b"") -> None:
        self._number, self._terms, self._model = number, terms, model
        self._total: NDArray[np.uint32] = np.zeros(terms.width, np.uint32)
        self._alive: list[int] = []

    def roster(self, keys: Messages) -> bytes:
        """Return the roster, for all that are on it."""
        read = [SignedKeys.read(payload, self._number, self._terms) for payload in keys.values()]
        self._roster = Roster.of({one.client: one for one in read}, self._number, self._terms)
        self._context = self._roster.context(self._model)
        return self._roster.payload()

    def forward(self, shares: Messages) -> dict[int, bytes]:
        """Return, for each client that shared, its neighbors' shares for it."""
        self._require(len(shares), "shared their keys")
        neighbors = self._roster.neighbors
        boxes: dict[int, dict[int, bytes]] = {client: {} for client in shares}
        self._commitments: dict[int, bytes] = {}
        for client, payload in shares.items():
            commitment, *sealed = unpack(payload)
            self._commitments[client] = bytes(commitment)
            if len(sealed) != len(neighbors[client]):
                self._refuse(f"client {client} did not share with all of its neighbors")
            for j, box in zip(neighbors[client], sealed, strict=True):
                if j in boxes:
                    boxes[j][client] = bytes(box)
        self._shared = frozenset(shares)
        members = pack_numbers(sorted(shares))
        return {
            client: pack(members, *(box[j] for j in neighbors[client] if j in box))
            for client, box in boxes.items()
        }

    def receive(self, client: int, upload: Payload) -> None:
        """Add a masked vector up."""
        if client not in self._shared or client in self._alive:
            self._refuse(f"client {client} is not awaited")
        if len(upload) != self._total.nbytes:
            self._refuse(f"client {client} sent {len(upload)} bytes for {self._total.nbytes}")
        self._total += np.frombuffer(upload, np.uint32)
        self._alive.append(client)

    def survivors(self, uploads: Collection[int]) -> bytes:
        """Return whose vectors are in the sum, now that `uploads` were received."""
        self._require(len(uploads), "sent a vector")
        return pack_numbers(sorted(self._alive))

    def confirm(self, signatures: Messages) -> bytes:
        """Return all confirmations, for those that gave one."""
        self._require(len(signatures), "confirmed the survivors")
        return pack(pack_numbers(tuple(signatures)), *signatures.values())

    def total(self, shares: Messages) -> Floats:
        """Return the sum of the survivors' vectors."""
        held: dict[int, dict[int, bytes]] = {client: {} for client in self._shared}
        for holder, payload in shares.items():
            clients, parts = unpack(payload, 2)
            for n, client in enumerate(unpack_numbers(clients)):
                if client in held:
                    held[client][holder + 1] = bytes(parts[n * SHARE_BYTES :][:SHARE_BYTES])
        own = [own_mask_key(self._seed(i, held[i]), self._context) for i in self._alive]
        plus, minus = self._left_over(held)
        add_masks(self._total, plus, [*own, *minus])
        return self._terms.code.decode(self._total)

    def _left_over(self, held: Mapping[int, dict[int, bytes]]) -> tuple[list[bytes], list[bytes]]:
        """Return the keys of masks against clients that are gone: to be added, and subtracted."""
        plus: list[bytes] = []
        minus: list[bytes] = []
        alive = frozenset(self._alive)
        for gone in sorted(self._shared - alive):
            around = [i for i in self._roster.neighbors[gone] if i in alive]
            if not around:
                continue
            key = AgreementKey(self._secret(gone, held[gone]))
            if key.public != self._roster.keys[gone].masking:
                self._refuse("shares of a key do not give it: one was tampered with")
            for i in around:
                other = self._roster.keys[i].masking
                mask = key.agreed(other, "mask", self._context, size=MASK_KEY_BYTES)
                (minus if i < gone else plus).append(mask)
        return plus, minus

    def _seed(self, client: int, shares: Mapping[int, bytes]) -> bytes:
        seed = self._secret(client, shares)
        if seed_commitment(seed, self._context) != self._commitments[client]:
            self._refuse("shares of a seed do not give it: one was tampered with, or clients hold "
                         "different models")  # fmt: skip
        return seed

    def _secret(self, client: int, shares: Mapping[int, bytes]) -> bytes:
        needed = self._terms.shares_needed(len(self._roster.keys))
        if len(shares) < needed:
            self._refuse(
                f"{len(shares)} shares of client {client}'s secret, and {needed} are needed"
            )
        return combine(dict(list(shares.items())[:needed]))

    def _require(self, clients: int, did: str) -> None:
        if clients < self._terms.least_survivors:
            self._refuse(
                f"{clients} clients {did}, fewer than the {self._terms.least_survivors} that the "
                "terms ask for"
            )

    def _refuse(self, reason: str) -> NoReturn:
        raise RefusedError(f"masking, server, round {self._number}: {reason}; nothing was released")
