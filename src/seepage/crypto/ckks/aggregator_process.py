"""What the aggregator's process runs: it adds ciphertexts, and is never given a secret key.

A script for `environments.worker`; it imports nothing of ours but the scheme beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .seal_scheme import Scheme, seal
else:
    from seal_scheme import Scheme, seal

_state: dict[str, Any] = {}


def start(settings: dict[str, Any], parts: list[Any]) -> tuple[dict[str, Any], list[Any]]:
    """Take the public context: the ring, the modulus and the public key."""
    _state.update(
        scheme=Scheme(settings["degree"], settings["modulus_bits"], insecure=settings["insecure"]),
        public=parts[0],
        total=[],
    )
    return {}, []


def add(_settings: dict[str, Any], parts: list[Any]) -> tuple[dict[str, Any], list[Any]]:
    """Add a client's ciphertexts to the others'."""
    _state["total"] = _scheme().add(_state["total"], parts)
    return {}, []


def total(_settings: dict[str, Any], _parts: list[Any]) -> tuple[dict[str, Any], list[Any]]:
    """Return the sum, encrypted."""
    return {}, _scheme().stored(_state["total"])


def decrypt(_settings: dict[str, Any], parts: list[Any]) -> tuple[dict[str, Any], list[Any]]:
    """Try to decrypt with what this process has: no key. SEAL raises."""
    return {}, [_scheme().decrypt(part, seal.SecretKey()) for part in parts]


def _scheme() -> Scheme:
    return _state["scheme"]


CALLS = {"start": start, "add": add, "total": total, "decrypt": decrypt}
