"""Who takes part in a round, by which keys: as each client signed it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from ...core.errors import RefusedError
from ..packing import pack, unpack
from ..wire import Payload
from .graph import ring
from .keys import Identity, verified
from .terms import Terms


@dataclass(frozen=True, slots=True)
class SignedKeys:
    """A client's keys of one round: `channel` seals shares, `masking` makes masks."""

    client: int
    channel: bytes
    masking: bytes
    payload: bytes

    @classmethod
    def made(
        cls, client: int, number: int, channel: bytes, masking: bytes, identity: Identity,
        terms: Terms,
    ) -> SignedKeys:  # fmt: skip
        """Return the client's keys, signed."""
        fields = (client.to_bytes(4, "big"), number.to_bytes(8, "big"), channel, masking)
        signature = identity.sign("keys", terms.digest, *fields)
        return cls(client, channel, masking, pack(*fields, signature))

    @classmethod
    def read(cls, payload: Payload, number: int, terms: Terms) -> SignedKeys:
        """Return keys that a registered client signed for this round and these terms."""
        *fields, signature = map(bytes, unpack(payload, 5))
        client = int.from_bytes(fields[0], "big")
        if client not in terms.registry:
            raise RefusedError(f"masking: client {client} of the roster is not registered")
        if not verified(terms.registry[client], signature, "keys", terms.digest, *fields):
            raise RefusedError(f"masking: client {client} did not sign the keys under its name")
        if int.from_bytes(fields[1], "big") != number:
            raise RefusedError(f"masking: client {client}'s keys are of another round")
        return cls(client, fields[2], fields[3], bytes(payload))


@dataclass(frozen=True, slots=True, eq=False)
class Roster:
    """All keys of a round, and the neighbors that follow from them."""

    keys: Mapping[int, SignedKeys]
    neighbors: Mapping[int, tuple[int, ...]]
    number: int
    terms: Terms

    @classmethod
    def of(cls, keys: Mapping[int, SignedKeys], number: int, terms: Terms) -> Roster:
        """Return the roster of clients that gave keys; `RefusedError` where they are too few."""
        if len(keys) < terms.least_survivors:
            raise RefusedError(
                f"masking: {len(keys)} clients in round {number}, fewer than the "
                f"{terms.least_survivors} that the terms ask for; nothing was released"
            )
        ordered = dict(sorted(keys.items()))
        seed = sha256(_joined(ordered)).digest()
        neighbors = ring(tuple(ordered), terms.neighbors or len(ordered), seed)
        return cls(ordered, neighbors, number, terms)

    @classmethod
    def read(cls, payload: Payload, number: int, terms: Terms) -> Roster:
        """Return what the server says the roster is, every signature checked.

        Raises `RefusedError` for another round, another threshold, a client named twice, keys
        that their client did not sign for this round, or too few.
        """
        stated, threshold, *signed = unpack(payload)
        if int.from_bytes(stated, "big") != number:
            raise RefusedError(f"masking: the roster is not of round {number}")
        if int.from_bytes(threshold, "big") != terms.threshold:
            raise RefusedError(
                f"masking: the server says another threshold than the {terms.threshold} agreed on"
            )
        keys = [SignedKeys.read(one, number, terms) for one in signed]
        if len({one.client for one in keys}) < len(keys):
            raise RefusedError("masking: the roster names a client twice")
        return cls.of({one.client: one for one in keys}, number, terms)

    def payload(self) -> bytes:
        """Return it as bytes, as the server sends it."""
        stated = self.number.to_bytes(8, "big"), self.terms.threshold.to_bytes(4, "big")
        return pack(*stated, *(one.payload for one in self.keys.values()))

    def context(self, model: bytes) -> bytes:
        """Return the hash that masks, seals and signatures are bound to.

        Of the terms, the round, the roster and the hash of the model that a client received.
        """
        number = self.number.to_bytes(8, "big")
        return sha256(pack(self.terms.digest, number, _joined(self.keys), model)).digest()

    def verified(self, client: int, signature: bytes, purpose: str, *fields: bytes) -> bool:
        """Return whether a client signed `fields` for this purpose."""
        return verified(self.terms.registry[client], signature, purpose, *fields)


def _joined(keys: Mapping[int, SignedKeys]) -> bytes:
    return pack(*(one.payload for one in keys.values()))
