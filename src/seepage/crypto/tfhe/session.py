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
from ..environments.worker import Worker
from ..handover import hand_over
from ..mapped import mapped
from ..packing import pack, unpack
from ..processes import Processes, fields, packed
from ..wire import Wire
from .circuit import Circuit

_HERE = Path(__file__).parent

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
            both = self._both = Processes(self._wire, clients, server)
            path = Path(folder) / "evaluation-key"
            where: dict[str, Any] = {"path": str(path), "insecure_toy": self._toy}
            made = both.work(maker, "make_key", client=maker, **where)
            secret = bytes(made.parts[0])
            for other, got in hand_over(secret, maker, others, Entropy(), self._wire).items():
                both.work(other, "take_key", [got], client=other)
            both.up("evaluation key", maker, mapped(path))
            both.serve("start", **where)
            path.unlink()
            yield clients, server

    def upload(self, client: int, bits: Bits) -> list[bytes]:
        """Return what the server gets of a client's bits."""
        made = self._both.work(client, "encrypt", [bits], client=client)
        return fields(unpack(self._both.up("upload", client, packed(made))))

    def evaluate(self, circuit: Circuit, inputs: Sequence[bytes]) -> list[bytes]:
        """Return the outputs of a circuit, encrypted."""
        wires = {"gates": circuit.gates, "outputs": circuit.outputs}
        return [bytes(part) for part in self._both.serve("evaluate", inputs, **wires).parts]

    def decrypt(self, outputs: Sequence[bytes], there: Sequence[int]) -> Bits:
        """Return what the first client of `there` that has the key decrypts, and tells."""
        able = [client for client in there if client in self._holders]
        if not able:
            refuse("all clients that hold the key are gone: start anew")
        given = fields(unpack(self._both.down("outcome", able[0], pack(*outputs))))
        found = self._both.work(able[0], "decrypt", given, client=able[0])
        answer = self._both.up("bits", able[0], bytes(np.asarray(found.parts[0])))
        return np.frombuffer(answer, np.uint8)


def refuse(reason: str) -> NoReturn:
    """Raise `RefusedError`: what is computed is aborted."""
    raise RefusedError(f"tfhe: {reason}; nothing was released")
