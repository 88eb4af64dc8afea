"""The processes of SPU: one a computing party, and one that does what clients do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..environments.cards import SPU
from ..environments.find import require
from ..environments.worker import Answer, Worker, answers
from ..packing import pack, unpack
from ..wire import Payload

FRACTION_BITS = 18
"""Of numbers that SPU multiplies: its default in words of 64 bits."""

_HERE = Path(__file__).parent


@dataclass(frozen=True, kw_only=True, slots=True)
class Ran:
    """What a party made of a program: its share of the result, and what that took."""

    share: bytes
    seconds: float
    sent: int


class Parties:
    """Computing parties that have met, and a process for the clients, until the block ends.

    The parties talk over TCP on the loopback interface, without TLS: this is a simulation of
    parties on one machine. `protocol` is SPU's name of it; `timeout` is how many seconds of
    silence end everything. Raises `UsageError` where SPU's environment is missing, `WorkerError`
    where a process fails; the others are ended then.
    """

    def __init__(self, protocol: str, parties: int, timeout: float) -> None:
        self._stack = ExitStack()
        self._timeout = timeout
        common: dict[str, Any] = {"protocol": protocol, "fraction_bits": FRACTION_BITS}
        python = require(SPU)
        with self._stack:
            self._workers = [
                self._start(python, "party_process.py", f"party {rank}") for rank in range(parties)
            ]
            self._client = self._start(python, "client_process.py", "the client process")
            self._client.call("set_up", parties=parties, **common)
            for worker in self._workers:
                worker.wait()
            ports = _free_ports(parties)
            for rank, worker in enumerate(self._workers):
                worker.ask("join", rank=rank, ports=ports, timeout=timeout, **common)
            answers(self._workers, timeout)
            self._stack = self._stack.pop_all()  # whole from here on

    @property
    def pids(self) -> list[int]:
        """Of the parties' processes."""
        return [worker.pid for worker in self._workers]

    def share(self, array: NDArray[Any], by: int | None = None) -> tuple[list[bytes], float]:
        """Return a message for each party, and the seconds that its making took.

        A client makes them, or the party `by` of what it knows itself.
        """
        worker = self._client if by is None else self._workers[by]
        answer = worker.call("share", [array], timeout=self._timeout)
        return _split(answer), answer.seconds

    def hold(self, rank: int, name: str, message: Payload) -> float:
        """Have a party keep a share; return the seconds that it took."""
        worker = self._workers[rank]
        return worker.call("hold", unpack(message), timeout=self._timeout, name=name).seconds

    def compile(
        self, program: dict[str, Any], shapes: Mapping[str, tuple[int, ...]], dtype: str
    ) -> tuple[bytes, float]:
        """Return a program of shared arrays, by name, and the seconds that its making took."""
        answer = self._client.call(
            "compile",
            timeout=self._timeout,
            program=program,
            shapes=dict(shapes),
            dtype=dtype,
        )
        return bytes(answer.parts[0]), answer.seconds

    def run(self, code: bytes, names: Sequence[str]) -> list[Ran]:
        """Have all parties run a program."""
        for worker in self._workers:
            worker.ask("run", [code], names=list(names))
        return [
            Ran(share=pack(*map(bytes, a.parts)), seconds=a.seconds, sent=a.settings["sent"])
            for a in answers(self._workers, self._timeout)
        ]

    def reconstruct(self, shares: Sequence[Payload]) -> tuple[NDArray[Any], float]:
        """Return what shares of all parties add up to, and the seconds that it took."""
        parts = [unpack(share) for share in shares]
        answer = self._client.call(
            "reconstruct",
            [part for share in parts for part in share],
            timeout=self._timeout,
            chunks=[len(share) - 1 for share in parts],
        )
        return np.asarray(answer.parts[0]), answer.seconds

    def __enter__(self) -> Self:
        """Return the parties."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """End all processes."""
        self._stack.close()

    def _start(self, python: Path, script: str, name: str) -> Worker:
        return self._stack.enter_context(Worker(python, _HERE / script, name=name))


def _split(answer: Answer) -> list[bytes]:
    rest, found = [bytes(part) for part in answer.parts], list[bytes]()
    for chunks in answer.settings["chunks"]:
        found.append(pack(*rest[: 1 + chunks]))
        rest = rest[1 + chunks :]
    return found


def _free_ports(count: int) -> list[int]:
    """Return ports that nothing listens on; all are held until the last is known."""
    with ExitStack() as stack:
        held = [stack.enter_context(socket()) for _ in range(count)]
        for each in held:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in held]
