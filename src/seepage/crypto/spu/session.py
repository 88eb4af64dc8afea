"""The protocols that SPU runs, from clients' vectors to what the server learns."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import nullcontext
from dataclasses import dataclass
from typing import ClassVar

from ...core.errors import require_least
from ..packing import pack, unpack
from ..protocol import UPLOAD, Floats, SecureSum, SumJob, client_name
from ..wire import Payload, Wire
from .parties import Parties
from .reducing import Reducing
from .reductions import WORD, ClippedSum, RankSum

RECEIVER, RESULT = "server", "result"


@dataclass(frozen=True, kw_only=True)
class SPUSum(Reducing):
    """A sum, or a robust reduction, that parties compute on shares by SPU.

    Shares come from SPU's own generator, whatever the job's seed: what is summed repeats, what
    parties see does not. What parties send to each other while they compute is counted, and not
    in their views.

    Fields
    ------
    clamp : hold shared entries to the bound before they are clipped or sorted. Without it, a
        client that shares a word out of range gets past both
    threshold : fewest clients whose reduction is revealed, >= 2
    timeout : seconds of silence after which the sum is aborted, > 0

    Others: see `Reducing`.
    """

    protocol: ClassVar[str]

    clamp: bool = True
    threshold: int = 2
    timeout: float = 600.0

    def __post_init__(self) -> None:
        Reducing.__post_init__(self)
        require_least(self.name, self, threshold=2)

    @property
    @abstractmethod
    def computing(self) -> int:
        """The number of computing parties."""

    def meet(self) -> Parties:
        """Start the parties, for one `with` block of sums; raises `UsageError` without SPU."""
        return Parties(self.protocol, self.computing, self.timeout)

    def run(
        self, job: SumJob, wire: Wire | None = None, parties: Parties | None = None
    ) -> SecureSum:
        """Return the reduction, by `parties` that have met already if there are any.

        Raises `RefusedError` where too few are left or a party fails.
        """
        self.check(job)
        wire = wire or Wire()
        there = tuple(c for c in range(job.clients) if job.present(c, UPLOAD, self.stages))
        if len(there) < self.threshold:
            self.refuse(f"{len(there)} clients are left, of {self.threshold} at least")
        plan = self.plan(job, len(there), WORD, clamp=self.clamp)
        with nullcontext(parties) if parties else self.meet() as met:
            session = _Session(self, job, plan, met, wire)
            for client in there:
                session.upload(client)
            total = session.reduce(there)
        error = plan.max_error
        return SecureSum.learned(job, total, there, wire, max_error=error, by=(RECEIVER,))


class _Session:
    def __init__(
        self,
        protocol: SPUSum,
        job: SumJob,
        plan: RankSum | ClippedSum,
        parties: Parties,
        wire: Wire,
    ) -> None:
        self._protocol, self._job, self._plan = protocol, job, plan
        self._parties, self._wire = parties, wire
        self._names = [f"party {rank}" for rank in range(protocol.computing)]
        self._contexts: set[bytes] = set()

    def upload(self, client: int) -> None:
        """Have a client send each party its share."""
        job, wire, who = self._job, self._wire, client_name(client)
        with wire.at(who):
            vector = self._plan.encode(job.contribution(client), who)
        messages, seconds = self._parties.share(vector)
        wire.spent(who, seconds)
        context = job.context[client] if job.context else b""
        for rank, (party, message) in enumerate(zip(self._names, messages, strict=True)):
            sent = wire.send(UPLOAD, who, party, pack(context, message))
            said, share = unpack(sent, 2)
            self._contexts.add(bytes(said))
            wire.spent(party, self._parties.hold(rank, who, share))
        if len(self._contexts) > 1:
            self._protocol.refuse("clients disagree on what they were given (model, roster, round)")

    def reduce(self, there: tuple[int, ...]) -> Floats:
        """Have the parties compute, and return what the server learns."""
        wire, rows = self._wire, [client_name(client) for client in there]
        code, seconds = self._parties.compile(
            self._plan.program, dict.fromkeys(rows, (self._job.width,)), self._plan.dtype
        )
        released: list[Payload] = []
        for party, ran in zip(self._names, self._parties.run(code, rows), strict=True):
            wire.spent(party, seconds + ran.seconds)  # each would compile the program itself
            wire.crossed(party, "other parties", ran.sent)
            released.append(wire.send(RESULT, party, RECEIVER, ran.share))
        total, seconds = self._parties.reconstruct(released)
        wire.spent(RECEIVER, seconds)
        with wire.at(RECEIVER):
            return self._plan.decode(total)
