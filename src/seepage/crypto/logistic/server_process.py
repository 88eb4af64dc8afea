"""What the server's process runs: it trains on what it can't read. A worker's script.

It is given the context, evaluation keys and ciphertexts; no secret key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .openfhe_training import Bootstrapped, fhe
else:
    from openfhe_training import Bootstrapped, fhe

Settings = dict[str, Any]
Parts = list[Any]
_state: dict[str, Any] = {"blocks": {}}


def start(settings: Settings, parts: Parts) -> tuple[Settings, Parts]:
    """Take the context and the evaluation keys."""
    context = fhe.DeserializeCryptoContextString(bytes(parts[0]), fhe.BINARY)
    training = Bootstrapped(context, settings["width"])
    if not (
        context.DeserializeEvalMultKey(settings["products"], fhe.BINARY)
        and context.DeserializeEvalAutomorphismKey(settings["rotations"], fhe.BINARY)
    ):
        raise ValueError("what came in is no evaluation key of OpenFHE")
    _state["training"] = training
    return {}, []


def add(settings: Settings, parts: Parts) -> tuple[Settings, Parts]:
    """Take a client's records: blocks that other clients' records may be in, too."""
    blocks = _state["blocks"]
    for number, raw in zip(settings["numbers"], parts, strict=True):
        cipher = _cipher(raw)
        if number in blocks:
            cipher = _training().context.EvalAdd(blocks[number], cipher)
        blocks[number] = cipher
    return {}, []


def train(settings: Settings, _parts: Parts) -> tuple[Settings, Parts]:
    """Do a round: the first where there are no weights yet, else another one."""
    blocks = [_state["blocks"][number] for number in sorted(_state["blocks"])]
    if "weights" not in _state:
        _state["weights"] = _training().first_round(blocks, settings["cubic"][0])
    else:
        refreshed = _training().refreshed(_state["weights"])
        _state["weights"] = _training().next_round(refreshed, blocks, settings["cubic"])
    return {}, []


def weights(_settings: Settings, _parts: Parts) -> tuple[Settings, Parts]:
    """Return the weights, encrypted."""
    return {}, [fhe.Serialize(_state["weights"], fhe.BINARY)]


def scores(_settings: Settings, parts: Parts) -> tuple[Settings, Parts]:
    """Return encrypted records' products with the encrypted weights."""
    found = [_training().scores(_state["weights"], _cipher(raw)) for raw in parts]
    return {}, [fhe.Serialize(cipher, fhe.BINARY) for cipher in found]


def decrypt(_settings: Settings, parts: Parts) -> tuple[Settings, Parts]:
    """Try to decrypt with what this process has: no key. OpenFHE raises."""
    for raw in parts:
        _training().context.Decrypt(fhe.PrivateKey(), _cipher(raw))
    return {}, []


def _cipher(raw: Any) -> Any:
    return fhe.DeserializeCiphertextString(bytes(raw), fhe.BINARY)


def _training() -> Bootstrapped:
    return _state["training"]


CALLS = {call.__name__: call for call in (start, add, train, weights, scores, decrypt)}
