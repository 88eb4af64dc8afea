"""What a computing party's process runs beside SPU: it encrypts its masks. A worker's script.

It is given the ring and the public key; no key that decrypts, and no share of one, gets here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .openfhe_bfv import Ring, context_from, key_shares
else:
    from openfhe_bfv import Ring, context_from, key_shares

Settings = dict[str, Any]
Parts = list[Any]
_state: dict[str, Any] = {}


def start(_settings: Settings, parts: Parts) -> tuple[Settings, Parts]:
    """Take the ring and the public key of all clients."""
    context, public = parts
    _state.update(ring=Ring(context_from(context)), public=key_shares.public_key(public))
    return {}, []


def encrypt(_settings: Settings, parts: Parts) -> tuple[Settings, Parts]:
    """Return the ciphertexts of words, `[n]`."""
    return {}, [*_state["ring"].encrypted(parts[0], _state["public"])]


CALLS = {call.__name__: call for call in (start, encrypt)}
