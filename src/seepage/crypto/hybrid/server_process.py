"""What the server's process runs: it adds, and puts decryptions together. A worker's script.

It is given the ring and ciphertexts; no key, and no share of one, ever gets here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .openfhe_bfv import Ring, add_into, ciphertext_from, context_from, written
else:
    from openfhe_bfv import Ring, add_into, ciphertext_from, context_from, written

Settings = dict[str, Any]
Parts = list[Any]
_state: dict[str, Any] = {}


def start(_settings: Settings, parts: Parts) -> tuple[Settings, Parts]:
    """Take the ring; nothing of an earlier sum is left."""
    _state.update(ring=Ring(context_from(parts[0])), held={}, opened={})
    return {}, []


def add(settings: Settings, parts: Parts) -> tuple[Settings, Parts]:
    """Add ciphertexts to those that are held under a name."""
    ciphers = [ciphertext_from(raw) for raw in parts]
    add_into(_ring().context, _state["held"], settings["name"], ciphers)
    return {}, []


def add_words(settings: Settings, parts: Parts) -> tuple[Settings, Parts]:
    """Add words that are known, `[n]`, to those that are held under a name."""
    ring, (words,) = _ring(), parts
    held = _state["held"][settings["name"]]
    for at, cipher in enumerate(held):
        block = ring.plain(words[at * ring.degree : (at + 1) * ring.degree])
        held[at] = ring.context.EvalAdd(cipher, block)
    return {}, []


def held(settings: Settings, _parts: Parts) -> tuple[Settings, Parts]:
    """Return the ciphertexts that are held under a name."""
    return {}, [written(cipher) for cipher in _state["held"][settings["name"]]]


def fuse(settings: Settings, parts: Parts) -> tuple[Settings, Parts]:
    """Add a client's part of the decryption of what has a name to the others'."""
    ciphers = [ciphertext_from(raw) for raw in parts]
    add_into(_ring().context, _state["opened"], settings["name"], ciphers)
    return {}, []


def opened(settings: Settings, _parts: Parts) -> tuple[Settings, Parts]:
    """Return the words of each ciphertext, one after the other: right, if no part is missing."""
    return {}, [np.concatenate([*map(_ring().opened, _state["opened"].pop(settings["name"]))])]


def _ring() -> Ring:
    return _state["ring"]


CALLS = {call.__name__: call for call in (start, add, add_words, held, fuse, opened)}
