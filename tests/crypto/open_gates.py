"""Gates of encrypted circuits, on bits that are not encrypted."""

import numpy as np

from seepage.crypto.tfhe.circuit import Circuit

GATES = {
    "xor": lambda a, b: a ^ b,
    "and": lambda a, b: a & b,
    "or": lambda a, b: a | b,
    "majority": lambda a, b, c: a & b | a & c | b & c,
}


def evaluated(circuit: Circuit, inputs: np.ndarray) -> list[np.ndarray]:
    """Return the outputs of a circuit for bits, `[inputs, n]`: `[n]` each."""
    wires = list(inputs.astype(np.uint8))
    for kind, given in circuit.gates:
        wires.append(GATES[kind](*(wires[wire] for wire in given)))
    return [wires[wire] for wire in circuit.outputs]
