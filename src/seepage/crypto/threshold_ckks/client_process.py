"""What the clients' process runs: it makes their keys, and keeps them. A worker's script."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from . import key_shares
    from .openfhe_ring import Ring, ciphertext_from, written
else:
    import key_shares
    from openfhe_ring import Ring, ciphertext_from, written

Settings = dict[str, Any]
Parts = list[Any]
_state: dict[str, Any] = {}


def start(settings: Settings, _parts: Parts) -> tuple[Settings, Parts]:
    """Make the ring; return its public parameters."""
    _state["ring"] = Ring.new(settings["degree"], settings["prime_bits"])
    key_shares.begin(_ring().context)
    return {}, [written(_ring().context)]


def encrypt(settings: Settings, parts: Parts) -> tuple[Settings, Parts]:
    """Return the ciphertexts of whole numbers, `[n]`, under the public key of all."""
    ring, public, numbers = _ring(), key_shares.public_key(parts[0]), parts[1]
    found: Parts = []
    for start in range(0, len(numbers), ring.degree):
        part = numbers[start : start + ring.degree]
        padded = np.pad(part, (0, ring.degree - len(part)))
        found.append(written(ring.encrypt(padded, settings["scale_bits"], public)))
    return {}, found


def decrypt_in_part(settings: Settings, parts: Parts) -> tuple[Settings, Parts]:
    """Return a client's part of the decryption of each ciphertext, flooded."""
    ring, key = _ring(), key_shares.key_of(settings["client"])
    context = ring.context
    step = context.MultipartyDecryptLead if settings["lead"] else context.MultipartyDecryptMain
    found: Parts = []
    for raw in parts:
        (part,) = step([ciphertext_from(raw)], key)
        flooded = ring.flooded(part, settings["deviation_bits"], settings["coarse_bits"])
        found.append(written(flooded))
    return {}, found


def _ring() -> Ring:
    return _state["ring"]


CALLS = key_shares.CALLS | {call.__name__: call for call in (start, encrypt, decrypt_in_part)}
