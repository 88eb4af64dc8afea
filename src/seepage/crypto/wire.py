"""Carries messages between the parties of one process, and keeps what each saw and spent."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .protocol import Floats

Payload = bytes | bytearray | memoryview


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Message:
    """What one party sent to another: bytes, as they would cross a network."""

    kind: str
    sender: str
    payload: Payload = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PartyView:
    """All that a party received, in order; `sum` is the sum, if it learned it."""

    received: tuple[Message, ...]
    sum: Floats | None

    def of(self, kind: str) -> dict[str, Payload]:
        """Return the payloads of one kind, by sender."""
        return {m.sender: m.payload for m in self.received if m.kind == kind}


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What a sum cost.

    Fields
    ------
    client_seconds : the median over clients
    server_seconds : of the busiest party that is no client, an offline dealer apart
    offline_seconds : of a dealer, before any vector is known; 0 where there is none
    bytes_up_per_client, bytes_down_per_client : the most that any client sent, and received
    bytes_between_servers : all that parties other than clients sent to each other
    rounds : how often a client waits for an answer before the sum is known
    """

    client_seconds: float
    server_seconds: float
    offline_seconds: float = 0.0
    bytes_up_per_client: int
    bytes_down_per_client: int
    bytes_between_servers: int = 0
    rounds: int = 1


DEALER = "dealer"


class Wire:
    """The network of a simulated protocol."""

    def __init__(self) -> None:
        self._received: dict[str, list[Message]] = defaultdict(list)
        self._sent: dict[tuple[str, str], int] = defaultdict(int)
        self._seconds: dict[str, float] = defaultdict(float)
        self._sums: dict[str, Floats] = {}

    def send(self, kind: str, sender: str, receiver: str, payload: Payload) -> Payload:
        """Deliver `payload`; what is returned is what the receiver got."""
        self._received[receiver].append(Message(kind=kind, sender=sender, payload=payload))
        self._sent[sender, receiver] += len(payload)
        return payload

    @contextmanager
    def at(self, party: str) -> Generator[None]:
        """Count the seconds of a block as a party's work."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[party] += time.perf_counter() - started

    def spent(self, party: str, seconds: float) -> None:
        """Count seconds that were measured elsewhere, say in another process."""
        self._seconds[party] += seconds

    def crossed(self, sender: str, receiver: str, size: int) -> None:
        """Count bytes that went another way, say between other processes; no view has them."""
        self._sent[sender, receiver] += size

    def learned(self, party: str, total: Floats) -> None:
        """Note that a party knows the sum."""
        self._sums[party] = total

    def views(self) -> Mapping[str, PartyView]:
        """Return what each party saw."""
        parties = self._received.keys() | self._sums.keys() | self._seconds.keys()
        return {
            party: PartyView(
                received=tuple(self._received.get(party, ())), sum=self._sums.get(party)
            )
            for party in sorted(parties)
        }

    def cost(self, rounds: int = 1) -> Cost:
        """Return what it all cost; clients are the parties called `client N`."""
        up: dict[str, int] = defaultdict(int)
        down: dict[str, int] = defaultdict(int)
        between = 0
        for (sender, receiver), size in self._sent.items():
            if _is_client(sender):
                up[sender] += size
            elif not _is_client(receiver):
                between += size
            if _is_client(receiver):
                down[receiver] += size
        seconds = dict(self._seconds)
        offline = seconds.pop(DEALER, 0.0)
        clients = [spent for party, spent in seconds.items() if _is_client(party)]
        servers = [spent for party, spent in seconds.items() if not _is_client(party)]
        return Cost(
            client_seconds=median(clients or [0.0]),
            server_seconds=max(servers, default=0.0),
            offline_seconds=offline,
            bytes_up_per_client=max(up.values(), default=0),
            bytes_down_per_client=max(down.values(), default=0),
            bytes_between_servers=between,
            rounds=rounds,
        )


def _is_client(party: str) -> bool:
    return party.startswith("client ")
