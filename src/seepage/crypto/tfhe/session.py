"""Encrypted bits: clients work in one process, the server, which has no key, in another."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

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
from .circuit import Circuit

SERVER = "server"
_HERE = Path(__file__).parent
_PATIENCE = 3600.0
"""Seconds that one circuit may take."""

Bits = NDArray[np.uint8]


class EncryptedBits:
    """The messages of what is computed on bits: keys, uploads, gates, and one that decrypts."""

    def __init__(self, wire: Wire, *, insecure_toy: bool) -> None:
        self._wire, self._toy = wire, insecure_toy
        self._holders: tuple[int, ...] = ()

    @contextmanager
    def processes(self, holders: Sequence[int]) -> Generator[tuple[Worker, Worker]]:
        """Start both processes; the first of `holders` makes a key, and the others get it.

        The evaluation key goes to the server: it takes a gigabyte, in a file.
        """
        if not holders:
            refuse("no client is there to draw a key")
        python = require(OPENFHE)
        self._holders = tuple(holders)
        maker, *others = holders
        with (
            tempfile.TemporaryDirectory() as folder,
            Worker(python, _HERE / "client_process.py", name="tfhe: clients") as clients,
            Worker(python, _HERE / "evaluator_process.py", name="tfhe: the server") as server,
        ):
            self._clients, self._server = clients, server
            path = Path(folder) / "evaluation-key"
            where: dict[str, Any] = {"path": str(path), "insecure_toy": self._toy}
            made = self._work(maker, "make_key", client=maker, **where)
            secret = bytes(made.parts[0])
            for other, got in hand_over(secret, maker, others, Entropy(), self._wire).items():
                self._work(other, "take_key", [got], client=other)
            self._wire.send("evaluation key", client_name(maker), SERVER, mapped(path))
            self._serve("start", **where)
            path.unlink()
            yield clients, server

    def upload(self, client: int, bits: Bits) -> list[bytes]:
        """Return what the server gets of a client's bits."""
        made = self._work(client, "encrypt", [bits], client=client)
        sent = self._wire.send("upload", client_name(client), SERVER, _packed(made))
        return [bytes(field) for field in unpack(sent)]

    def evaluate(self, circuit: Circuit, inputs: Sequence[bytes]) -> list[bytes]:
        """Return the outputs of a circuit, encrypted."""
        found = self._serve("evaluate", inputs, gates=circuit.gates, outputs=circuit.outputs)
        return [bytes(part) for part in found.parts]

    def decrypt(self, outputs: Sequence[bytes], there: Sequence[int]) -> Bits:
        """Return what the first client of `there` that has the key decrypts, and tells."""
        able = [client for client in there if client in self._holders]
        if not able:
            refuse("all clients that hold the key are gone: start anew")
        name = client_name(able[0])
        given: Payload = self._wire.send("outcome", SERVER, name, pack(*outputs))
        fields = [bytes(field) for field in unpack(given)]
        found = self._work(able[0], "decrypt", fields, client=able[0])
        answer = self._wire.send("bits", name, SERVER, bytes(np.asarray(found.parts[0])))
        return np.frombuffer(answer, np.uint8)

    def _work(self, by: int, call: str, parts: Sequence[Any] = (), **settings: Any) -> Answer:
        answer = self._clients.call(call, parts, timeout=_PATIENCE, **settings)
        self._wire.spent(client_name(by), answer.seconds)
        return answer

    def _serve(self, call: str, parts: Sequence[Any] = (), **settings: Any) -> Answer:
        answer = self._server.call(call, parts, timeout=_PATIENCE, **settings)
        self._wire.spent(SERVER, answer.seconds)
        return answer


def refuse(reason: str) -> NoReturn:
    """Raise `RefusedError`: what is computed is aborted."""
    raise RefusedError(f"tfhe: {reason}; nothing was released")


def _packed(answer: Answer) -> bytes:
    return pack(*(bytes(part) for part in answer.parts))
