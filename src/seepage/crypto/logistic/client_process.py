"""What the clients' process runs: it makes their key, encrypts and decrypts. A worker's script."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .openfhe_training import Bootstrapped, fhe, make_context
else:
    from openfhe_training import Bootstrapped, fhe, make_context

Settings = dict[str, Any]
Parts = list[Any]
_state: dict[str, Any] = {"keys": {}}


def make_key(settings: Settings, _parts: Parts) -> tuple[Settings, Parts]:
    """Draw a client's secret key; write evaluation keys to files.

    Returns the context, the public key and the secret one.
    """
    context = make_context(settings["degree"], settings["insecure_toy"])
    training = _state["training"] = Bootstrapped(context, settings["width"])
    pair = context.KeyGen()
    training.make_evaluation_keys(pair.secretKey)
    _state["keys"][settings["client"]] = pair.secretKey
    _state["public"] = pair.publicKey
    if not (
        context.SerializeEvalMultKey(settings["products"], fhe.BINARY)
        and context.SerializeEvalAutomorphismKey(settings["rotations"], fhe.BINARY)
    ):
        raise OSError("there is no room for the evaluation keys")
    type(context).ClearEvalAutomorphismKeys()
    found = (context, pair.publicKey, pair.secretKey)
    return {}, [fhe.Serialize(thing, fhe.BINARY) for thing in found]


def take_key(settings: Settings, parts: Parts) -> tuple[Settings, Parts]:
    """Give another client the secret key that it was sent."""
    key = fhe.DeserializePrivateKeyString(bytes(parts[0]), fhe.BINARY)
    _state["keys"][settings["client"]] = key
    return {}, []


def encrypt(_settings: Settings, parts: Parts) -> tuple[Settings, Parts]:
    """Return the ciphertexts of blocks of records, `[slots]` each."""
    training: Bootstrapped = _state["training"]
    ciphers = [training.encrypt(block, _state["public"]) for block in parts]
    return {}, [fhe.Serialize(cipher, fhe.BINARY) for cipher in ciphers]


def decrypt(settings: Settings, parts: Parts) -> tuple[Settings, Parts]:
    """Return the slots of ciphertexts, as a client decrypts them."""
    training: Bootstrapped = _state["training"]
    key = _state["keys"][settings["client"]]
    return {}, [
        training.decrypt(fhe.DeserializeCiphertextString(bytes(raw), fhe.BINARY), key)
        for raw in parts
    ]


CALLS = {call.__name__: call for call in (make_key, take_key, encrypt, decrypt)}
