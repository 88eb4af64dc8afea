"""Majorities of bits, and comparisons of norms, as gates of two and three inputs.

Bits of one weight are added three at a time by full adders, a xor b xor c and majority(a, b, c),
until one is left of each weight (Wallace 1964). The sum is then compared with a known number from
its lowest bit on: "at least t" is (bit and rest) where t has a 1, (bit or rest) where it has a 0.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...core.errors import UsageError

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
    board = _Board(voters)
    count = board.added([list(range(voters))])
    bounds = sorted({voters // 2 + 1, (voters + 1) // 2}, reverse=True)
    return board.circuit([board.at_least(bound, count) for bound in bounds])


def norm_circuit(entries: int, bits: int, limit: int) -> Circuit:
    """Return the circuit whose output is whether the sum of squares exceeds `limit`.

    Its inputs are whole numbers in [0, 2^bits), the lowest bit of each first. Raises `UsageError`
    for a limit that no such numbers exceed, or that all do.
    """
    most = entries * (2**bits - 1) ** 2
    if not 0 <= limit < most:
        raise UsageError(f"the limit is {limit}, and sums of squares here go from 0 to {most}")
    board = _Board(entries * bits)
    columns: list[list[int]] = [[] for _ in range(2 * bits)]
    for start in range(0, entries * bits, bits):
        for low in range(bits):
            # A bit's square is itself; two bits' product occurs twice, so one place higher.
            columns[2 * low].append(start + low)
            for high in range(low + 1, bits):
                columns[low + high + 1].append(board.gate(AND, start + low, start + high))
    return board.circuit([board.at_least(limit + 1, board.added(columns))])


class _Board:
    """Gates that are being put together."""

    def __init__(self, inputs: int) -> None:
        self._inputs = inputs
        self._gates: list[tuple[str, tuple[int, ...]]] = []

    def gate(self, kind: str, *wires: int) -> int:
        """Add a gate; return its wire."""
        self._gates.append((kind, wires))
        return self._inputs + len(self._gates) - 1

    def added(self, columns: list[list[int]]) -> list[int | None]:
        """Return the sum of bits by weight; None stands for a bit that is always 0."""
        waiting, found = [list(column) for column in columns], list[int | None]()
        while waiting:
            column, carries = waiting.pop(0), list[int]()
            while len(column) > 1:
                some, column = column[:3], column[3:]
                carries.append(self.gate(MAJORITY if len(some) == 3 else AND, *some))
                bit = some[0]
                for other in some[1:]:
                    bit = self.gate(XOR, bit, other)
                column.append(bit)
            found.append(column[0] if column else None)
            if waiting:
                waiting[0].extend(carries)
            elif carries:
                waiting.append(carries)
        return found

    def at_least(self, bound: int, number: list[int | None]) -> int | bool:
        """Return the wire of "the number is at least `bound`"; no wire where that is known."""
        found: int | bool = True
        for position, bit in enumerate(number):
            one = bool(bound >> position & 1)
            if bit is None:
                found = False if one else found
            elif isinstance(found, bool):
                found = bit if found == one else found
            else:
                found = self.gate(AND if one else OR, bit, found)
        return found

    def circuit(self, outputs: list[int | bool]) -> Circuit:
        """Return the circuit of these outputs."""
        wires = tuple(wire for wire in outputs if not isinstance(wire, bool))
        return _pruned(Circuit(inputs=self._inputs, gates=tuple(self._gates), outputs=wires))


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
