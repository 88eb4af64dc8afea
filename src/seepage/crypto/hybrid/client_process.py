"""What the clients' process runs: it makes their keys, and keeps them. A worker's script."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .openfhe_bfv import Ring, ciphertext_from, key_shares, written
else:
    from openfhe_bfv import Ring, ciphertext_from, key_shares, written

Settings = dict[str, Any]
Parts = list[Any]
_state: dict[str, Any] = {}


def start(settings: Settings, _parts: Parts) -> tuple[Settings, Parts]:
    """Make the ring; return its public parameters."""
    _state["ring"] = Ring.new(settings["degree"], settings["prime_bits"], settings["bits"])
    key_shares.begin(_ring().context)
    return {}, [written(_ring().context)]


def encrypt(_settings: Settings, parts: Parts) -> tuple[Settings, Parts]:
    """Return the ciphertexts of a client's words, `[n]`, under the public key of all."""
    public, words = parts
    return {}, [*_ring().encrypted(words, key_shares.public_key(public))]


def decrypt_in_part(settings: Settings, parts: Parts) -> tuple[Settings, Parts]:
    """Return a client's part of the decryption of each ciphertext, flooded."""
    key = key_shares.key_of(settings["client"])
    return {}, [
        written(_ring().decrypted_in_part(ciphertext_from(raw), key, settings["lead"]))
        for raw in parts
    ]


def _ring() -> Ring:
    return _state["ring"]


CALLS = key_shares.CALLS | {call.__name__: call for call in (start, encrypt, decrypt_in_part)}
