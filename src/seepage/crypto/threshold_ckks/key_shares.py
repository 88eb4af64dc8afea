"""What a clients' process does with their shares of a key, in any of OpenFHE's schemes.

A worker's script takes these calls over; it runs under OpenFHE's Python and imports nothing of
ours.
"""

from __future__ import annotations

from hashlib import shake_256
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .openfhe_ring import fhe, written
else:
    from openfhe_ring import fhe, written

Settings = dict[str, Any]
Parts = list[Any]
_state: dict[str, Any] = {}


def begin(context: Any) -> None:
    """Start anew in a context: no share of an earlier key is left."""
    _state.update(context=context, keys={})


def key_of(client: int) -> Any:
    """Return the share of the key that a client holds, its own or a lost one's."""
    return _state["keys"][client]


def public_key(raw: Any) -> Any:
    """Return the public key that was written."""
    return fhe.DeserializePublicKeyString(bytes(raw), fhe.BINARY)


def make_key(settings: Settings, parts: Parts) -> tuple[Settings, Parts]:
    """Draw a client's secret key; return the public key of all so far, and the secret one sealed.

    `parts` are a seal of 32 bytes, used once, and the public key of those before it, if any.
    """
    seal, *before = parts
    context = _state["context"]
    pair = context.MultipartyKeyGen(public_key(before[0])) if before else context.KeyGen()
    _state["keys"][settings["client"]] = pair.secretKey
    return {}, [written(pair.publicKey), _sealed(written(pair.secretKey), seal)]


def recover(settings: Settings, parts: Parts) -> tuple[Settings, Parts]:
    """Take a lost client's key out of its seal."""
    seal, sealed = parts
    raw = _sealed(bytes(sealed), seal)
    _state["keys"][settings["client"]] = fhe.DeserializePrivateKeyString(raw, fhe.BINARY)
    return {}, []


def lose(settings: Settings, _parts: Parts) -> tuple[Settings, Parts]:
    """Forget the key of a client that is gone."""
    _state["keys"].pop(settings["client"], None)
    return {}, []


def _sealed(content: bytes, seal: Any) -> bytes:
    """Return `content` under a one-time key, or out of it: the sum with SHAKE-256 of the key."""
    stream = np.frombuffer(shake_256(bytes(seal)).digest(len(content)), np.uint8)
    return (np.frombuffer(content, np.uint8) ^ stream).tobytes()


CALLS = {call.__name__: call for call in (make_key, recover, lose)}
