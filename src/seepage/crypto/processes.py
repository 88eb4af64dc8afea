"""The clients' work in one process, the server's in another, and the messages between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .environments.worker import Answer, Worker
from .packing import pack
from .protocol import client_name
from .wire import Payload, Wire

SERVER = "server"
_PATIENCE = 3600.0
"""Seconds that one call may take."""


class Processes:
    """Two workers whose seconds are counted on a wire as the parties' that they work for."""

    def __init__(self, wire: Wire, clients: Worker, server: Worker) -> None:
        self.wire, self.clients, self.server = wire, clients, server

    def work(self, by: int, call: str, parts: Sequence[Any] = (), **settings: Any) -> Answer:
        """Have a client do something."""
        answer = self.clients.call(call, parts, timeout=_PATIENCE, **settings)
        self.wire.spent(client_name(by), answer.seconds)
        return answer

    def serve(self, call: str, parts: Sequence[Any] = (), **settings: Any) -> Answer:
        """Have the server do something."""
        answer = self.server.call(call, parts, timeout=_PATIENCE, **settings)
        self.wire.spent(SERVER, answer.seconds)
        return answer

    def up(self, kind: str, client: int, payload: Payload) -> Payload:
        """Send from a client to the server."""
        return self.wire.send(kind, client_name(client), SERVER, payload)

    def down(self, kind: str, client: int, payload: Payload) -> Payload:
        """Send from the server to a client."""
        return self.wire.send(kind, SERVER, client_name(client), payload)


def packed(answer: Answer) -> bytes:
    """Return all parts of an answer as one message."""
    return pack(*(bytes(part) for part in answer.parts))


def fields(message: Sequence[Payload]) -> list[bytes]:
    """Return the fields of a message as a worker takes them."""
    return [bytes(field) for field in message]
