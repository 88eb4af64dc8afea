"""All roles of a sum by SPDZ in one process, message by message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ...core.errors import require_least
from ..protocol import UPLOAD, Floats, SecureSum, SumJob, SumProtocol, client_name
from ..wire import DEALER, Payload, Wire
from .client import Client
from .dealer import Dealer
from .party import EXCHANGES, RELEASE, Party
from .receiver import Receiver
from .terms import Terms

RECEIVER = "server"


@dataclass(frozen=True, kw_only=True)
class SPDZ(SumProtocol):
    """A sum by authenticated shares: what is tampered with aborts, and nobody is named.

    Fields
    ------
    parties : that compute, >= 2; one that is honest is enough
    threshold : fewest clients whose sum is revealed, >= 2

    >>> from seepage.crypto.api import secure_sum
    >>> secure_sum([[1.0, 2.0], [0.5, -1.0]], protocol="spdz").sum.tolist()
    [1.5, 1.0]
    """

    name: ClassVar[str] = "spdz"

    parties: int = 3
    threshold: int = 2

    def __post_init__(self) -> None:
        require_least(self.name, self, parties=2, threshold=2)

    def run(self, job: SumJob, wire: Wire | None = None) -> SecureSum:
        """Return the sum; `RefusedError` where anything was tampered with or too few are left."""
        self.check(job)
        wire = wire or Wire()
        terms = Terms(
            clients=job.clients,
            parties=self.parties,
            threshold=self.threshold,
            width=job.width,
            bound=job.bound,
        )
        session = _Session(job, terms, wire)
        session.deal()
        survivors = session.upload()
        total, error = session.open(), terms.code.max_error
        return SecureSum.learned(job, total, survivors, wire, max_error=error, by=(RECEIVER,))


class _Session:
    def __init__(self, job: SumJob, terms: Terms, wire: Wire) -> None:
        self._job, self._terms, self._wire = job, terms, wire
        self._clients = [Client(i, terms) for i in range(terms.clients)]
        self._parties = [Party(p, terms, job.entropy) for p in range(terms.parties)]
        self._receiver = Receiver(terms)

    def deal(self) -> None:
        """Run the offline phase."""
        wire = self._wire
        with wire.at(DEALER):
            dealer = Dealer(self._terms, self._job.entropy)
        for party in self._parties:
            key = wire.send("MAC key", DEALER, _name(party), dealer.mac_key(party.index))
            party.shares.receive_mac_key(key)
        owners = [(client_name(i), client.receive_mask) for i, client in enumerate(self._clients)]
        owners.append((RECEIVER, self._receiver.receive_mask))
        for mask, (owner, receive) in enumerate(owners):
            with wire.at(DEALER):
                dealt = dealer.deal()
            receive(wire.send("mask", DEALER, owner, dealt.owner))
            for party, shares in zip(self._parties, dealt.parties, strict=True):
                sent = wire.send(f"shares of mask {mask}", DEALER, _name(party), shares)
                party.shares.receive_mask(mask, sent)

    def upload(self) -> tuple[int, ...]:
        """Have the clients that are there send their vectors; return who they are."""
        stages = SPDZ.stages
        there = [i for i in range(self._job.clients) if self._job.present(i, UPLOAD, stages)]
        contexts = self._job.context or (b"",) * self._job.clients
        for i in there:
            name = client_name(i)
            with self._wire.at(name):
                message = self._clients[i].upload(self._job.contribution(i), contexts[i])
            for party in self._parties:
                sent = self._wire.send(UPLOAD, name, _name(party), message)
                with self._wire.at(_name(party)):
                    party.receive_upload(i, sent)
        return tuple(there)

    def open(self) -> Floats:
        """Have the parties open and check the sum; return what the receiver learns."""
        boxes: list[dict[int, Payload]] = [{} for _ in self._parties]
        for message in EXCHANGES:
            said = self._said(message, boxes)
            boxes = [self._inbox(message, party, said) for party in self._parties]
        released = {
            p.index: self._wire.send(RELEASE, _name(p), RECEIVER, payload)
            for p, payload in zip(self._parties, self._said(RELEASE, boxes), strict=True)
        }
        with self._wire.at(RECEIVER):
            return self._receiver.total(released)

    def _said(self, message: str, boxes: list[dict[int, Payload]]) -> list[Payload]:
        said: list[Payload] = []
        for party, inbox in zip(self._parties, boxes, strict=True):
            with self._wire.at(_name(party)):
                said.append(party.answer(message, inbox))
        return said

    def _inbox(self, message: str, to: Party, said: list[Payload]) -> dict[int, Payload]:
        return {
            p.index: self._wire.send(message, _name(p), _name(to), said[p.index])
            for p in self._parties
            if p is not to
        }


def _name(party: Party) -> str:
    return f"party {party.index}"
