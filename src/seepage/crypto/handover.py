"""Hands a secret from one client to others through a server that can't read it."""

from __future__ import annotations

from collections.abc import Sequence

from .entropy import Entropy
from .masking.keys import AgreementKey, seal, unseal
from .protocol import client_name
from .wire import Wire

_PURPOSE = "the key of encrypted sums and votes"
_KEY_BYTES = 32


def hand_over(
    secret: bytes, maker: int, others: Sequence[int], entropy: Entropy, wire: Wire
) -> dict[int, bytes]:
    """Return what each of `others` got of the maker's secret, sealed for it alone.

    The server relays as it got it: it could make itself an end of each agreement otherwise.
    """
    name = client_name(maker)
    with wire.at(name):
        own = AgreementKey(entropy.bytes(_KEY_BYTES))
    found: dict[int, bytes] = {}
    for other in others:
        receiver = client_name(other)
        with wire.at(receiver):
            theirs = AgreementKey(entropy.bytes(_KEY_BYTES))
        asked = _relayed(wire, "agreement key", receiver, name, theirs.public)
        with wire.at(name):
            key = own.agreed(asked, _PURPOSE, size=_KEY_BYTES)
            sealed = own.public + seal(key, secret)
        got = _relayed(wire, "sealed key", name, receiver, sealed)
        with wire.at(receiver):
            key = theirs.agreed(got[:_KEY_BYTES], _PURPOSE, size=_KEY_BYTES)
            found[other] = unseal(key, got[_KEY_BYTES:])
    return found


def _relayed(wire: Wire, kind: str, sender: str, receiver: str, payload: bytes) -> bytes:
    there = wire.send(kind, sender, "server", payload)
    return bytes(wire.send(kind, "server", receiver, there))
