"""A vote under FHEW: voters work in one process, the server, which has no key, in another."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from ...core.errors import RefusedError
from ..entropy import Entropy
from ..environments.cards import OPENFHE
from ..environments.find import require
from ..environments.worker import Answer, Worker
from ..handover import hand_over
from ..mapped import mapped
from ..packing import pack, unpack
from ..protocol import client_name
from ..wire import Payload, Wire
from .circuit import Circuit, majority_circuit

SERVER = "server"
STAGES = ("keys", "upload", "decrypt")
_HERE = Path(__file__).parent


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class VoteJob:
    """One vote.

    Fields
    ------
    signs : by client, `[d]`: -1 or 1
    there : stage -> the clients that are there, in order
    minimum_cohort : fewest votes whose majority is revealed
    insecure_toy : parameters that protect nothing, for tests
    """

    signs: tuple[NDArray[np.int8], ...]
    there: dict[str, tuple[int, ...]]
    minimum_cohort: int
    insecure_toy: bool


class VoteSession:
    """The messages of a vote: keys, votes, gates, and one voter that decrypts."""

    def __init__(self, job: VoteJob, wire: Wire) -> None:
        self._job, self._wire = job, wire

    def run(self) -> tuple[NDArray[np.int8], Circuit]:
        """Return the majority, `[d]`: -1, 0 for a tie, or 1; and the circuit of an entry."""
        voters = self._job.there["upload"]
        if len(voters) < self._job.minimum_cohort:
            _refuse(
                f"{len(voters)} clients vote, and the minimum cohort is {self._job.minimum_cohort}"
            )
        circuit = majority_circuit(len(voters))
        with self.processes() as (clients, server):
            self._clients, self._server = clients, server
            uploads = [self._upload(client) for client in voters]
            outputs = [
                field
                for entry in zip(*uploads, strict=True)
                for field in self._count(circuit, entry)
            ]
            bits = self._decrypt(outputs)
        return majority_from(bits, len(circuit.outputs)), circuit

    @contextmanager
    def processes(self) -> Generator[tuple[Worker, Worker]]:
        """Start both processes; the first client makes a key, and the others get it.

        The evaluation key goes to the server: it takes a gigabyte, in a file.
        """
        if not self._job.there["keys"]:
            _refuse("no client is there to draw a key")
        python, toy = require(OPENFHE), self._job.insecure_toy
        maker, *others = self._job.there["keys"]
        with (
            tempfile.TemporaryDirectory() as folder,
            Worker(python, _HERE / "client_process.py", name="tfhe: clients") as clients,
            Worker(python, _HERE / "evaluator_process.py", name="tfhe: the server") as server,
        ):
            path = Path(folder) / "evaluation-key"
            made = clients.call("make_key", client=maker, path=str(path), insecure_toy=toy)
            self._spent(client_name(maker), made)
            secret = bytes(made.parts[0])
            for other, got in hand_over(secret, maker, others, Entropy(), self._wire).items():
                self._spent(client_name(other), clients.call("take_key", [got], client=other))
            self._wire.send("evaluation key", client_name(maker), SERVER, mapped(path))
            self._spent(SERVER, server.call("start", path=str(path), insecure_toy=toy))
            path.unlink()
            yield clients, server

    def _upload(self, client: int) -> list[bytes]:
        bits = (self._job.signs[client] > 0).astype(np.uint8)
        made = self._clients.call("encrypt", [bits], client=client)
        self._spent(client_name(client), made)
        sent = self._wire.send("upload", client_name(client), SERVER, _packed(made))
        return [bytes(field) for field in unpack(sent)]

    def _count(self, circuit: Circuit, entry: Sequence[bytes]) -> list[bytes]:
        """Return the encrypted outcome of an entry."""
        found = self._server.call("evaluate", entry, gates=circuit.gates, outputs=circuit.outputs)
        self._spent(SERVER, found)
        return [bytes(part) for part in found.parts]

    def _decrypt(self, outputs: Sequence[bytes]) -> NDArray[np.uint8]:
        there = [c for c in self._job.there["decrypt"] if c in self._job.there["keys"]]
        if not there:
            _refuse("all clients that hold the key are gone: vote anew")
        name = client_name(there[0])
        given: Payload = self._wire.send("outcome", SERVER, name, pack(*outputs))
        found = self._clients.call(
            "decrypt", [bytes(field) for field in unpack(given)], client=there[0]
        )
        self._spent(name, found)
        answer = self._wire.send("bits", name, SERVER, bytes(np.asarray(found.parts[0])))
        return np.frombuffer(answer, np.uint8)

    def _spent(self, party: str, answer: Answer) -> None:
        self._wire.spent(party, answer.seconds)


def majority_from(bits: NDArray[np.uint8], outputs: int) -> NDArray[np.int8]:
    """Return -1, 0 or 1 for each entry from its `outputs` bits: 1 counts 2, or 1 where two tell."""
    ones = bits.reshape(-1, outputs).sum(axis=1)
    return (2 * ones // outputs - 1).astype(np.int8)


def _packed(answer: Answer) -> bytes:
    return pack(*(bytes(part) for part in answer.parts))


def _refuse(reason: str) -> NoReturn:
    raise RefusedError(f"tfhe: {reason}; nothing was released")
