"""A client of a masked sum: what it sends, and every lie of the server that it refuses."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import wraps
from hashlib import sha256
from typing import Concatenate, NoReturn, ParamSpec, TypeVar

import numpy as np

from ...core.errors import RefusedError
from ..entropy import Entropy
from ..packing import pack, pack_numbers, unpack, unpack_numbers
from ..protocol import Vector
from ..wire import Payload
from .graph import connected
from .keys import MASK_KEY_BYTES, AgreementKey, Identity, own_mask_key, seal, unseal
from .masks import add_masks
from .roster import Roster, SignedKeys
from .shamir import SHARE_BYTES, share
from .terms import Terms


class MaskingClient:
    """One client over all rounds: it takes part in each round number once, in rising order."""

    def __init__(self, index: int, identity: Identity, terms: Terms, entropy: Entropy) -> None:
        self.index, self.identity, self.terms, self.entropy = index, identity, terms, entropy
        self._last = -1

    def begin(self, number: int, model: bytes = b"") -> ClientRound:
        """Return the client's part in a round; `model` is the hash of what it was sent to train.

        Raises `RefusedError` for a round number that is not above all that it knew before.
        """
        if number <= self._last:
            raise RefusedError(
                f"masking, client {self.index}: round {number} was begun before; a server that "
                "asks for it again is refused"
            )
        self._last = number
        return ClientRound(self, number, model)


P = ParamSpec("P")
R = TypeVar("R")


def _turn(
    number: int,
) -> Callable[[Callable[Concatenate[ClientRound, P], R]], Callable[Concatenate[ClientRound, P], R]]:
    """Let a step of a round run once, in its turn, and none after one that was refused."""

    def once(step: Callable[Concatenate[ClientRound, P], R]) -> Callable[..., R]:
        """Return the step, guarded."""

        @wraps(step)
        def taken(self: ClientRound, *args: P.args, **named: P.kwargs) -> R:
            """Take the step; a round whose step raises is over."""
            if self.done != number - 1:
                self.refuse("a step is asked for out of turn, or once more")
            self.done = -1
            found = step(self, *args, **named)
            self.done = number
            return found

        return taken

    return once


class ClientRound:
    """One round of one client: five messages, each sent once, in this order.

    A message of the server that does not fit raises `RefusedError`, and ends the round for this
    client: it sends nothing more.
    """

    def __init__(self, client: MaskingClient, number: int, model: bytes) -> None:
        self._index, self._identity = client.index, client.identity
        self._terms, self._entropy = client.terms, client.entropy
        self._number, self._model = number, model
        self._channel = AgreementKey(client.entropy.bytes(32))
        self._masking = AgreementKey(client.entropy.bytes(32))
        self._seed = client.entropy.bytes(32)
        self.done = 0

    @_turn(1)
    def keys(self) -> bytes:
        """Return this round's public keys, signed."""
        self._mine = SignedKeys.made(
            self._index, self._number, self._channel.public, self._masking.public,
            self._identity, self._terms,
        )  # fmt: skip
        return self._mine.payload

    @_turn(2)
    def shares(self, roster: Payload) -> bytes:
        """Return shares of the mask key and of the seed, sealed for each neighbor."""
        self._roster = Roster.read(roster, self._number, self._terms)
        if self._roster.keys.get(self._index) != self._mine:
            self.refuse("the roster does not hold the keys that it sent")
        self._context = self._roster.context(self._model)
        self._neighbors = self._roster.neighbors[self._index]
        needed = self._terms.shares_needed(len(self._roster.keys))
        holders = [j + 1 for j in (*self._neighbors, self._index)]
        of_key = share(self._masking.private, needed, holders, self._entropy)
        of_seed = share(self._seed, needed, holders, self._entropy)
        mine = self._index + 1
        self._held = {self._index: (of_key[mine], of_seed[mine])}
        sealed = [
            seal(self._channel_key(self._index, j, j), of_key[j + 1] + of_seed[j + 1])
            for j in self._neighbors
        ]
        return pack(seed_commitment(self._seed, self._context), *sealed)

    @_turn(3)
    def upload(self, shares: Payload, vector: Vector) -> bytearray:
        """Return the masked vector, 4 bytes an entry."""
        members, *sealed = unpack(shares)
        self._shared = self._clients(members, self._roster.keys.keys())
        senders = [j for j in self._neighbors if j in self._shared]
        if self._index not in self._shared or len(sealed) != len(senders):
            self.refuse("the shares that it got are not those of its neighbors")
        if len(senders) + 1 < self._terms.shares_needed(len(self._roster.keys)):
            self.refuse(f"only {len(senders)} neighbors are left")
        for j, content in zip(senders, sealed, strict=True):
            both = unseal(self._channel_key(j, self._index, j), bytes(content))
            self._held[j] = (both[:SHARE_BYTES], both[SHARE_BYTES:])
        if len(vector) != self._terms.width:
            self.refuse(f"a vector has {len(vector)} entries, not {self._terms.width}")
        message = bytearray(4 * len(vector))
        words = np.frombuffer(message, np.uint32)
        self._terms.code.encode(vector, words, f"client {self._index}")
        masks = {j: self._mask_key(j) for j in senders}
        add_masks(
            words,
            [
                own_mask_key(self._seed, self._context),
                *(masks[j] for j in masks if self._index < j),
            ],
            [masks[j] for j in masks if self._index > j],
        )
        return message

    @_turn(4)
    def consistency(self, survivors: Payload) -> bytes:
        """Return a signature of whom the server calls survivors."""
        self._alive = self._clients(survivors, self._shared)
        if self._index not in self._alive:
            self.refuse("the server calls it dead, after it sent its vector")
        if len(self._alive) < self._terms.least_survivors:
            self.refuse(
                f"{len(self._alive)} survivors are fewer than {self._terms.least_survivors}"
            )
        if not connected(self._roster.neighbors, self._alive):
            self.refuse("the survivors are not connected: masks would not hide who is who")
        self._statement = pack(
            self._context, pack_numbers(sorted(self._shared)), pack_numbers(sorted(self._alive))
        )
        return self._identity.sign("survivors", self._statement)

    @_turn(5)
    def unmask(self, signatures: Payload) -> bytes:
        """Return the shares that unmask the sum: of each client one kind, never both.

        Only where `threshold` survivors signed the same lists: two different lists can't both
        have so many signers, unless more clients collude than the terms say.
        """
        signers, *signed = unpack(signatures)
        who = unpack_numbers(signers)
        if len(who) != len(signed) or len(set(who)) != len(who) or not self._alive.issuperset(who):
            self.refuse("the signatures are not those of survivors")
        for j, signature in zip(who, signed, strict=True):
            if not self._roster.verified(j, bytes(signature), "survivors", self._statement):
                self.refuse(
                    f"client {j} confirmed other survivors, or under another model, roster or round"
                )
        if len(who) < self._terms.threshold:
            self.refuse(f"{len(who)} confirm the survivors, fewer than {self._terms.threshold}")
        chosen = [self._held[j][1 if j in self._alive else 0] for j in self._held]
        return pack(pack_numbers(tuple(self._held)), b"".join(chosen))

    def _clients(self, numbers: Payload, among: Collection[int]) -> frozenset[int]:
        found = unpack_numbers(numbers)
        members = frozenset(found)
        if list(found) != sorted(members) or not members <= frozenset(among):
            self.refuse("a list of clients names one twice, or one that is not there")
        return members

    def _channel_key(self, sender: int, receiver: int, other: int) -> bytes:
        public = self._roster.keys[other].channel
        ends = pack_numbers((sender, receiver))
        return self._channel.agreed(public, "shares", self._context, ends, size=32)

    def _mask_key(self, other: int) -> bytes:
        public = self._roster.keys[other].masking
        return self._masking.agreed(public, "mask", self._context, size=MASK_KEY_BYTES)

    def refuse(self, reason: str) -> NoReturn:
        """Raise `RefusedError`."""
        raise RefusedError(
            f"masking, client {self._index}, round {self._number}: {reason}; it sends no more"
        )


def seed_commitment(seed: bytes, context: bytes) -> bytes:
    """Return what a client's seed is known by before it is revealed."""
    return sha256(pack(b"seed", context, seed)).digest()
