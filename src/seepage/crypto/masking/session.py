"""All roles of a masked sum in one process, message by message."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from ...core.errors import UsageError, require_least
from ..protocol import UPLOAD, Floats, SecureSum, SumJob, SumProtocol, client_name
from ..wire import Payload, Wire
from .client import ClientRound, MaskingClient
from .keys import Identity
from .server import MaskingServer, Messages
from .terms import Terms

SERVER = "server"

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Masking(SumProtocol):
    """A sum by pairwise masks that survives drop-outs and a server that lies.

    Fields
    ------
    threshold : clients that must stay to the end; 2 x threshold > clients + colluders (None: the
        least that is so)
    colluders : clients that may work with the server
    neighbors : with how many others each client masks, an even number (0: all)
    minimum_cohort : fewest vectors whose sum is revealed, >= 2
    """

    name: ClassVar[str] = "masking"
    stages: ClassVar[tuple[str, ...]] = ("keys", "shares", "upload", "consistency", "unmask")

    threshold: int | None = None
    colluders: int = 0
    neighbors: int = 0
    minimum_cohort: int = 2

    def __post_init__(self) -> None:
        require_least(self.name, self, colluders=0, neighbors=0, minimum_cohort=2)
        if self.threshold is not None:
            require_least(self.name, self, threshold=1)
        if self.neighbors % 2:
            raise UsageError(f"masking: neighbors is {self.neighbors}; use an even number, or 0")

    def run(self, job: SumJob, wire: Wire | None = None) -> SecureSum:
        """Return the survivors' sum; `RefusedError` where they are too few."""
        self.check(job)
        wire = wire or Wire()
        identities = [Identity.new(job.entropy) for _ in range(job.clients)]
        terms = Terms(
            registry={i: identity.public for i, identity in enumerate(identities)},
            threshold=self.threshold or (job.clients + self.colluders) // 2 + 1,
            width=job.width,
            bound=job.bound,
            colluders=self.colluders,
            neighbors=self.neighbors,
            minimum_cohort=self.minimum_cohort,
        )
        models = job.context or (b"",) * job.clients
        server = MaskingServer(0, terms, models[0])
        rounds: dict[int, ClientRound] = {}
        for i, identity in enumerate(identities):
            with wire.at(client_name(i)):
                rounds[i] = MaskingClient(i, identity, terms, job.entropy).begin(0, models[i])
        total, survivors = _Session(job, wire, server, rounds).run()
        made, error = len(self.stages), terms.code.max_error
        return SecureSum.learned(job, total, survivors, wire, max_error=error, rounds=made)


class _Session:
    def __init__(
        self, job: SumJob, wire: Wire, server: MaskingServer, rounds: Mapping[int, ClientRound]
    ) -> None:
        self._job, self._wire, self._server, self._rounds = job, wire, server, rounds

    def run(self) -> tuple[Floats, tuple[int, ...]]:
        """Go through the stages; return the sum of contributions, and whose they are."""
        rounds, server = self._rounds, self._server
        keys = self._ask("keys", dict.fromkeys(rounds, b""), lambda i, _: rounds[i].keys())
        roster = self._answer(server.roster, keys)
        shares = self._ask("shares", dict.fromkeys(keys, roster), lambda i, m: rounds[i].shares(m))
        boxes = self._answer(server.forward, shares)
        sent = self._ask("upload", boxes, self._upload)
        listed = dict.fromkeys(sent, self._answer(server.survivors, sent))
        signed = self._ask("consistency", listed, lambda i, m: rounds[i].consistency(m))
        confirmed = dict.fromkeys(signed, self._answer(server.confirm, signed))
        unmasked = self._ask("unmask", confirmed, lambda i, m: rounds[i].unmask(m))
        return self._answer(server.total, unmasked), tuple(sorted(sent))

    def _upload(self, client: int, message: Payload) -> Payload:
        return self._rounds[client].upload(message, self._job.contribution(client))

    def _ask(
        self, stage: str, messages: Mapping[int, bytes], act: Callable[[int, Payload], Payload]
    ) -> dict[int, Payload]:
        """Give each client that is still there its message; return what the server gets."""
        found: dict[int, Payload] = {}
        for client, message in messages.items():
            name = client_name(client)
            if not self._job.present(client, stage, Masking.stages):
                continue
            given: Payload = message
            if message:
                given = self._wire.send(f"for {stage}", SERVER, name, message)
            with self._wire.at(name):
                answer = act(client, given)
            found[client] = self._wire.send(stage, name, SERVER, answer)
            if stage == UPLOAD:
                with self._wire.at(SERVER):
                    self._server.receive(client, found[client])
        return found

    def _answer(self, act: Callable[[Mapping[int, Payload]], T], messages: Messages) -> T:
        with self._wire.at(SERVER):
            return act(messages)
