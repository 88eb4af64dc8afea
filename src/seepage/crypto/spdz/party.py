"""A computing party: it adds up shares, opens the sum under a mask, and checks its MAC."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256

import numpy as np

from ..entropy import Entropy
from ..packing import pack, pack_numbers
from ..wire import Payload
from .client import CONTEXT_BYTES
from .commitment import Commitments
from .masks import KEY_BYTES, Words
from .shares import Shares
from .terms import MODULUS, Terms, refuse, words

COIN_BYTES = 32

RELEASE = "release"
EXCHANGES = ("roster", "share", "coin commitment", "coin", "MAC commitment", "MAC share")
"""What parties send each other once clients have sent their vectors; then comes `RELEASE`."""

Inbox = Mapping[int, Payload]


class Party:
    """One of the computing parties, for one sum.

    `shares` takes the dealer's messages, `receive_upload` the clients'. Then `answer` goes
    through `EXCHANGES` and `RELEASE`: what all others sent in one gives this party's message of
    the next. `RefusedError` ends it: it answers no more.
    """

    def __init__(self, index: int, terms: Terms, entropy: Entropy) -> None:
        self.index, self._terms, self._entropy = index, terms, entropy
        self.shares = Shares(index, terms)
        self._sent: Words = np.zeros(terms.width, np.uint64)
        self._contexts: dict[int, bytes] = {}
        self._to_do: tuple[str, ...] = (*EXCHANGES, RELEASE)

    def receive_upload(self, client: int, payload: Payload) -> None:
        """Take a client's masked vector; a second one, and one that comes late, is refused."""
        if not 0 <= client < self._terms.clients or client in self._contexts:
            refuse("a client sent two vectors, or is not of the cohort")
        if self._to_do[:1] != EXCHANGES[:1]:
            refuse("a client sent its vector after the others' were added up")
        hidden = words(memoryview(payload)[CONTEXT_BYTES:], self._terms.width, np.uint32)
        self._sent += hidden
        self._contexts[client] = bytes(payload[:CONTEXT_BYTES])

    def answer(self, message: str, inbox: Inbox) -> Payload:
        """Return this party's next message; `inbox` is what all others sent in the last exchange.

        Raises `RefusedError` where something does not fit, and for a message out of its turn: a
        share that was opened of two sums would tell them apart.
        """
        to_do, self._to_do = self._to_do, ()
        if to_do[:1] != (message,):
            refuse("a party is asked out of turn, or after it had refused")
        others = [p for p in range(self._terms.parties) if p != self.index]
        if message != EXCHANGES[0] and sorted(inbox) != others:
            refuse("a party did not send its message")
        steps: dict[str, Callable[[Inbox], Payload]] = {
            "roster": self._roster,
            "share": self._share,
            "coin commitment": self._commit_coin,
            "coin": lambda commitments: self._coin.opening(commitments),
            "MAC commitment": self._commit_mac,
            "MAC share": lambda commitments: self._mac.opening(commitments),
            RELEASE: self._release,
        }
        found = steps[message](inbox)
        self._to_do = to_do[1:]
        return found

    def _roster(self, _: Inbox) -> Payload:
        """Say whose vectors came, and a hash of what they sent.

        The hash is of its sum, which is all that is used: what clients send one party and not
        another changes the sum, or cancels and changes nothing.
        """
        there = sorted(self._contexts)
        if len(there) < self._terms.threshold:
            refuse(
                f"{len(there)} clients sent a vector, fewer than the {self._terms.threshold} "
                "whose sum may be revealed"
            )
        contexts = set(self._contexts.values())
        if len(contexts) > 1:
            refuse("clients do not agree on the model, the roster or the round")
        self._masks = (*there, self._terms.receiver_mask)
        self._said = pack(pack_numbers(there), *contexts, sha256(self._sent.data).digest())
        return self._said

    def _share(self, rosters: Inbox) -> Payload:
        """Agree on who is in the sum; open the share of it and the receiver's mask together.

        All 64 bits at once: were the upper ones told after the coin, a changed bit 31 could be
        made up for by them in every other toss.
        """
        if any(bytes(said) != self._said for said in rosters.values()):
            refuse("parties did not receive the same from the clients")
        message = bytearray(8 * self._terms.width)
        self._opened: Words = np.frombuffer(message, np.uint64)
        self.shares.add_values(self._masks, self._opened)
        if self.index == 0:
            self._opened += self._sent
        return message

    def _commit_coin(self, shares: Inbox) -> Payload:
        """Add up what was opened; only then toss the coin that nobody can know before."""
        self._opened = self._opened.copy()
        for share in shares.values():
            self._opened += words(share, self._terms.width, np.uint64)
        seed = self._entropy.bytes(COIN_BYTES)
        self._coin = Commitments("coin", self.index, seed, self._entropy)
        return self._coin.commitment()

    def _commit_mac(self, coins: Inbox) -> Payload:
        coin = sha256(b"".join(self._coin.values(coins))).digest()[:KEY_BYTES]
        share = self.shares.mac_share(self._masks, self._sent, self._opened, coin)
        value = share.to_bytes(8, "little")
        self._mac = Commitments("MAC share", self.index, value, self._entropy)
        return self._mac.commitment()

    def _release(self, mac_shares: Inbox) -> Payload:
        """Check the MAC; give the receiver the opened words, or a hash of them from party 1 on."""
        shares = self._mac.values(mac_shares)
        if sum(int.from_bytes(share, "little") for share in shares) % MODULUS:
            refuse("the opened sum does not fit its MAC: something was tampered with")
        low = self._opened.astype(np.uint32).tobytes()
        return sha256(low).digest() if self.index else low
