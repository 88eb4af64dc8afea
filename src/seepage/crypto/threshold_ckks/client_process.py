"""What the clients' process runs: it makes their keys, and keeps them. A worker's script."""

from __future__ import annotations

from hashlib import shake_256
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .openfhe_ring import Ring, ciphertext_from, fhe, written
else:
    from openfhe_ring import Ring, ciphertext_from, fhe, written

Settings = dict[str, Any]
Parts = list[Any]
_state: dict[str, Any] = {"keys": {}}


def start(settings: Settings, _parts: Parts) -> tuple[Settings, Parts]:
    """Make the ring; return its public parameters."""
    _state["ring"] = Ring.new(settings["degree"], settings["prime_bits"])
    return {}, [written(_ring().context)]


def make_key(settings: Settings, parts: Parts) -> tuple[Settings, Parts]:
    """Draw a client's secret key; return the public key of all so far, and the secret one sealed.

    `parts` are a seal of 32 bytes, used once, and the public key of those before it, if any.
    """
    seal, *before = parts
    context = _ring().context
    pair = context.MultipartyKeyGen(_public(before[0])) if before else context.KeyGen()
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
    del _state["keys"][settings["client"]]
    return {}, []


def encrypt(settings: Settings, parts: Parts) -> tuple[Settings, Parts]:
    """Return the ciphertexts of whole numbers, `[n]`, under the public key of all."""
    ring, public, numbers = _ring(), _public(parts[0]), parts[1]
    found: Parts = []
    for start in range(0, len(numbers), ring.degree):
        part = numbers[start : start + ring.degree]
        padded = np.pad(part, (0, ring.degree - len(part)))
        found.append(written(ring.encrypt(padded, settings["scale_bits"], public)))
    return {}, found


def decrypt_in_part(settings: Settings, parts: Parts) -> tuple[Settings, Parts]:
    """Return a client's part of the decryption of each ciphertext, flooded."""
    ring, key = _ring(), _state["keys"][settings["client"]]
    context = ring.context
    step = context.MultipartyDecryptLead if settings["lead"] else context.MultipartyDecryptMain
    found: Parts = []
    for raw in parts:
        (part,) = step([ciphertext_from(raw)], key)
        flooded = ring.flooded(part, settings["deviation_bits"], settings["coarse_bits"])
        found.append(written(flooded))
    return {}, found


def _sealed(content: bytes, seal: Any) -> bytes:
    """Return `content` under a one-time key, or out of it: the sum with SHAKE-256 of the key."""
    stream = np.frombuffer(shake_256(bytes(seal)).digest(len(content)), np.uint8)
    return (np.frombuffer(content, np.uint8) ^ stream).tobytes()


def _public(raw: Any) -> Any:
    return fhe.DeserializePublicKeyString(bytes(raw), fhe.BINARY)


def _ring() -> Ring:
    return _state["ring"]


CALLS = {call.__name__: call for call in (start, make_key, recover, lose, encrypt, decrypt_in_part)}
