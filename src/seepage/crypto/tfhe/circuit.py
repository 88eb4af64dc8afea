"""The majority of bits as gates of two and three inputs.

Bits of one weight are added three at a time by full adders, a xor b xor c and majority(a, b, c),
until one is left of each weight (Wallace 1964). The count is then compared with a known number
from its lowest bit on: "at least t" is (bit and rest) where t has a 1, (bit or rest) where a 0.
"""

from __future__ import annotations

from dataclasses import dataclass

XOR, AND, OR, MAJORITY = "xor", "and", "or", "majority"


@dataclass(frozen=True, kw_only=True, slots=True)
class Circuit:
    """Gates in an order in which they can be evaluated.

    Fields
    ------
    inputs : number of input bits; they are wires 0, 1, ...
    gates : kind and input wires of each; each gate is the next wire
    outputs : wires
    """

    inputs: int
    gates: tuple[tuple[str, tuple[int, ...]], ...]
    outputs: tuple[int, ...]


def majority_circuit(voters: int) -> Circuit:
    """Return the circuit of a vote; its outputs are "more than half", and "at least half".

    Where no tie is possible they are one and the same, and there is only one. `voters` >= 2.
    """
    gates: list[tuple[str, tuple[int, ...]]] = []
    count = _count(voters, gates)
    bounds = sorted({voters // 2 + 1, (voters + 1) // 2}, reverse=True)
    outputs = tuple(_at_least(bound, count, voters, gates) for bound in bounds)
    return _pruned(Circuit(inputs=voters, gates=tuple(gates), outputs=outputs))


def _count(voters: int, gates: list[tuple[str, tuple[int, ...]]]) -> list[int]:
    """Add gates that count the inputs; return the wires of the count, the lowest bit first."""
    found: list[int] = []
    column = list(range(voters))
    while column:
        carries: list[int] = []
        while len(column) > 1:
            some, column = column[:3], column[3:]
            carry = MAJORITY if len(some) == 3 else AND
            carries.append(_gate(voters, gates, carry, *some))
            bit = some[0]
            for other in some[1:]:
                bit = _gate(voters, gates, XOR, bit, other)
            column.append(bit)
        found.append(column[0])
        column = carries
    return found


def _at_least(
    bound: int, count: list[int], voters: int, gates: list[tuple[str, tuple[int, ...]]]
) -> int:
    """Add gates that compare; bits of the count below the lowest 1 of `bound` (> 0) are free."""
    lowest = (bound & -bound).bit_length() - 1
    found = count[lowest]
    for position, bit in enumerate(count[lowest + 1 :], lowest + 1):
        found = _gate(voters, gates, AND if bound >> position & 1 else OR, bit, found)
    return found


def _gate(voters: int, gates: list[tuple[str, tuple[int, ...]]], kind: str, *wires: int) -> int:
    gates.append((kind, wires))
    return voters + len(gates) - 1


def _pruned(circuit: Circuit) -> Circuit:
    """Return the circuit without gates that no output needs."""
    needed = set(circuit.outputs)
    for position in range(len(circuit.gates) - 1, -1, -1):
        if circuit.inputs + position in needed:
            needed.update(circuit.gates[position][1])
    kept = [wire for wire in range(circuit.inputs + len(circuit.gates)) if wire in needed]
    names = {wire: wire for wire in range(circuit.inputs)}
    names |= {
        wire: circuit.inputs + position
        for position, wire in enumerate(wire for wire in kept if wire >= circuit.inputs)
    }
    return Circuit(
        inputs=circuit.inputs,
        gates=tuple(
            (kind, tuple(names[wire] for wire in wires))
            for position, (kind, wires) in enumerate(circuit.gates)
            if circuit.inputs + position in needed
        ),
        outputs=tuple(names[wire] for wire in circuit.outputs),
    )
