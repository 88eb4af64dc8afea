"""What the voters' process runs: it makes their key, encrypts and decrypts. A worker's script."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .openfhe_gates import PLAIN_MODULUS, Files, context_for, fhe
else:
    from openfhe_gates import PLAIN_MODULUS, Files, context_for, fhe

Settings = dict[str, Any]
Parts = list[Any]
_state: dict[str, Any] = {"keys": {}}
_files = Files()


def make_key(settings: Settings, _parts: Parts) -> tuple[Settings, Parts]:
    """Draw a client's secret key; write the evaluation key to a file, and return the secret one."""
    context = _state["context"] = context_for(settings["insecure_toy"])
    key = context.KeyGen()
    context.BTKeyGen(key)
    if not fhe.SerializeToFile(settings["path"], context.GetBTKey(), fhe.BINARY):
        raise OSError(f"there is no room for the evaluation key at {settings['path']}")
    context.ClearBTKeys()
    _state["keys"][settings["client"]] = key
    return {}, [_files.written(key)]


def take_key(settings: Settings, parts: Parts) -> tuple[Settings, Parts]:
    """Give another client the secret key that it was sent."""
    _state["keys"][settings["client"]] = _files.secret_key(parts[0])
    return {}, []


def encrypt(settings: Settings, parts: Parts) -> tuple[Settings, Parts]:
    """Return a ciphertext of each of a client's bits, `[d]`."""
    context, key = _state["context"], _state["keys"][settings["client"]]
    fresh = fhe.BINFHE_OUTPUT.FRESH
    return {}, [
        _files.written(context.Encrypt(key, int(bit), fresh, PLAIN_MODULUS)) for bit in parts[0]
    ]


def decrypt(settings: Settings, parts: Parts) -> tuple[Settings, Parts]:
    """Return the bits of ciphertexts, as a client decrypts them."""
    context, key = _state["context"], _state["keys"][settings["client"]]
    bits = [context.Decrypt(key, _files.ciphertext(raw), PLAIN_MODULUS) for raw in parts]
    return {}, [np.array(bits, np.uint8)]


CALLS = {call.__name__: call for call in (make_key, take_key, encrypt, decrypt)}
