"""What the aggregator's process runs: it adds, and puts decryptions together. A worker's script.

It is given the ring and ciphertexts; no key, and no share of one, ever gets here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .openfhe_ring import Ring, add_into, ciphertext_from, context_from, fhe, written
else:
    from openfhe_ring import Ring, add_into, ciphertext_from, context_from, fhe, written

Settings = dict[str, Any]
Parts = list[Any]
_state: dict[str, Any] = {}


def start(_settings: Settings, parts: Parts) -> tuple[Settings, Parts]:
    """Take the ring."""
    _state.update(ring=Ring(context_from(parts[0])), total=[], opened=[])
    return {}, []


def add(_settings: Settings, parts: Parts) -> tuple[Settings, Parts]:
    """Add a client's ciphertexts to the others'."""
    add_into(_ring().context, _state, "total", [ciphertext_from(raw) for raw in parts])
    return {}, []


def total(_settings: Settings, _parts: Parts) -> tuple[Settings, Parts]:
    """Return the sum, encrypted."""
    return {}, [written(cipher) for cipher in _state["total"]]


def fuse(_settings: Settings, parts: Parts) -> tuple[Settings, Parts]:
    """Add a client's part of the decryption to the others'."""
    add_into(_ring().context, _state, "opened", [ciphertext_from(raw) for raw in parts])
    return {}, []


def opened(settings: Settings, _parts: Parts) -> tuple[Settings, Parts]:
    """Return the numbers that the parts of the decryption give: the sum, if none is missing."""
    numbers = [_ring().opened(part, settings["scale_bits"]) for part in _state["opened"]]
    return {}, [np.concatenate([*numbers, np.empty(0)])]


def decrypt(_settings: Settings, parts: Parts) -> tuple[Settings, Parts]:
    """Try to decrypt with what this process has: no key. OpenFHE raises."""
    for raw in parts:
        _ring().context.Decrypt(fhe.PrivateKey(), ciphertext_from(raw))
    return {}, []


def _ring() -> Ring:
    return _state["ring"]


CALLS = {call.__name__: call for call in (start, add, total, fuse, opened, decrypt)}
