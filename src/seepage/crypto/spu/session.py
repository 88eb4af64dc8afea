"""The protocols that SPU runs, from clients' vectors to what the server learns."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import ClassVar

from ...core.errors import UsageError, require_least
from ...core.names import nearest
from ..fixed_point import FixedPoint
from ..packing import pack, unpack
from ..protocol import UPLOAD, Floats, SecureSum, SumJob, SumProtocol, client_name
from ..wire import Payload, Wire
from .parties import Parties
from .reductions import WORD, ClippedSum, RankSum, kept_ranks

REDUCTIONS = ("sum", "clip", "median", "trimmed-mean")
RECEIVER, RESULT = "server", "result"


@dataclass(frozen=True, kw_only=True)
class SPUSum(SumProtocol):
    """A sum, or a robust reduction, that parties compute on shares by SPU.

    Shares come from SPU's own generator, whatever the job's seed: what is summed repeats, what
    parties see does not. What parties send to each other while they compute is counted, and not
    in their views.

    Fields
    ------
    reduction : "sum"; "clip": the sum of vectors clipped to `clip_norm`; "median" or
        "trimmed-mean" of each coordinate
    clip_norm : the longest L2 norm that is left as it is, > 0
    trim : clients that a trimmed mean leaves out at each end of a coordinate, >= 1
    clamp : hold shared entries to the bound before they are clipped or sorted. Without it, a
        client that shares a word out of range gets past both
    threshold : fewest clients whose reduction is revealed, >= 2
    timeout : seconds of silence after which the sum is aborted, > 0
    """

    protocol: ClassVar[str]

    reduction: str = "sum"
    clip_norm: float = 1.0
    trim: int = 1
    clamp: bool = True
    threshold: int = 2
    timeout: float = 600.0

    def __post_init__(self) -> None:
        if self.reduction not in REDUCTIONS:
            raise UsageError(
                f"{self.name}: no reduction is called {self.reduction!r}"
                f"{nearest(self.reduction, REDUCTIONS)}"
            )
        require_least(self.name, self, trim=1, threshold=2)

    @property
    def computing(self) -> int:
        """The number of computing parties."""
        raise NotImplementedError

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
        if job.weights is not None and self.reduction != "sum":
            raise UsageError(f"{self.name}: {self.reduction} takes no weights; only a sum does")
        there = tuple(c for c in range(job.clients) if job.present(c, UPLOAD, self.stages))
        if len(there) < self.threshold:
            self.refuse(f"{len(there)} clients are left, of {self.threshold} at least")
        plan = self._plan(job, len(there))
        with nullcontext(parties) if parties else self.meet() as met:
            session = _Session(self, job, plan, met, wire)
            for client in there:
                session.upload(client)
            result, weight = job.result(session.reduce(there), there)
        wire.learned(RECEIVER, result)
        return SecureSum(
            sum=result,
            weight=weight,
            survivors=there,
            cost=wire.cost(),
            views=wire.views(),
            max_error=plan.max_error * job.weight_bound,
        )

    def _plan(self, job: SumJob, rows: int) -> RankSum | ClippedSum:
        code = FixedPoint(job.clients, job.bound, WORD)
        if self.reduction == "clip":
            return ClippedSum(
                code=code, rows=rows, width=job.width, clip_norm=self.clip_norm, clamp=self.clamp
            )
        ranks = kept_ranks(self.reduction, rows, self.trim)
        summed = self.reduction == "sum"
        return RankSum(
            code=code,
            rows=rows,
            ranks=ranks,
            divisor=1 if summed else len(ranks),
            clamp=self.clamp and not summed,
        )


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
            self._plan.program, rows, self._job.width, self._plan.dtype
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
