"""What the server's process runs: it evaluates gates on bits that it can't read. A worker's script.

It is given the evaluation key, which is encrypted itself, and ciphertexts; no secret key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .openfhe_gates import PLAIN_MODULUS, Files, context_for, fhe
else:
    from openfhe_gates import PLAIN_MODULUS, Files, context_for, fhe

Settings = dict[str, Any]
Parts = list[Any]
_state: dict[str, Any] = {}
_files = Files()
_GATES = {
    "xor": fhe.BINGATE.XOR,
    "and": fhe.BINGATE.AND,
    "or": fhe.BINGATE.OR,
    "majority": fhe.BINGATE.MAJORITY,
}


def start(settings: Settings, _parts: Parts) -> tuple[Settings, Parts]:
    """Load the evaluation key."""
    context = _state["context"] = context_for(settings["insecure_toy"])
    key, whole = fhe.DeserializeBinFHEBTKey(settings["path"], fhe.BINARY)
    if not whole:
        raise ValueError("what came in is no evaluation key of OpenFHE")
    context.BTKeyLoad(key)
    return {}, []


def evaluate(settings: Settings, parts: Parts) -> tuple[Settings, Parts]:
    """Return the outputs of a circuit, of which `parts` are the inputs."""
    evaluated = _state["context"].EvalBinGate
    wires = [_files.ciphertext(raw) for raw in parts]
    for kind, inputs in settings["gates"]:
        given = [wires[wire] for wire in inputs]
        if len(given) == 2:
            wires.append(evaluated(_GATES[kind], *given))
        else:
            wires.append(evaluated(_GATES[kind], given))
    return {}, [_files.written(wires[wire]) for wire in settings["outputs"]]


def decrypt(_settings: Settings, parts: Parts) -> tuple[Settings, Parts]:
    """Try to decrypt with what this process has: no key. OpenFHE raises."""
    for raw in parts:
        _state["context"].Decrypt(None, _files.ciphertext(raw), PLAIN_MODULUS)
    return {}, []


CALLS = {call.__name__: call for call in (start, evaluate, decrypt)}
