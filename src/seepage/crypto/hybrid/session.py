"""The hybrid protocol: from clients' encrypted vectors to a reduction that they open."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import ClassVar

from ...core.errors import UsageError, require_least
from ..processes import Processes
from ..protocol import UPLOAD, SecureSum, SumJob
from ..spu.reducing import Reducing
from ..spu.reductions import STEP, ClippedSum, RankSum
from ..threshold_ckks.joint_key import JointKey, opening_threshold
from ..wire import Wire
from .parameters import BITS, PRIME_BITS, RING_DEGREE, statistical_bits
from .rounds import CONVERT, OPEN, Rounds
from .team import PARTIES, Team, started

_LEAST_STATISTICAL_BITS = 40


@dataclass(frozen=True, kw_only=True)
class Hybrid(Reducing):
    """A reduction of vectors that clients send encrypted, once, to a server without a key.

    Three parties take masks off under encryption, clients open what is left, and so the parties
    have shares, on which ABY3 clips, or takes medians or trimmed means. They mask the result in
    turn, and it is opened by enough clients to the server alone. Entries are held to the bound
    whatever words a client encrypted. Keys and masks are fresh for each sum.

    Fields
    ------
    threshold : clients that are needed to open anything: as many can stand in for lost ones, and
        open any vector if they work with the server (None: more than half)
    minimum_cohort : fewest vectors whose reduction is revealed, >= 2
    timeout : seconds of silence of a party after which all is aborted, > 0

    Others: see `Reducing`.
    """

    name: ClassVar[str] = "hybrid"
    stages: ClassVar[tuple[str, ...]] = ("keys", "joint key", UPLOAD, CONVERT, OPEN)

    threshold: int | None = None
    minimum_cohort: int = 2
    timeout: float = 600.0

    def __post_init__(self) -> None:
        Reducing.__post_init__(self)
        require_least(self.name, self, minimum_cohort=2)

    def meet(self) -> AbstractContextManager[Team]:
        """Start all processes, for one `with` block of sums; `UsageError` where one can't be."""
        return started(self.name, self.timeout)

    def run(self, job: SumJob, team: Team | None = None) -> SecureSum:
        """Return the reduction, by processes that were started already if there are any.

        Raises `RefusedError` where too few clients are left or a process fails.
        """
        self.check(job)
        threshold = opening_threshold(self.name, self.threshold, job.clients)
        if statistical_bits(job.clients, PARTIES, job.width) < _LEAST_STATISTICAL_BITS:
            raise UsageError(
                f"hybrid: opening vectors of {job.width:,} of {job.clients:,} clients would tell "
                f"more than 2^-{_LEAST_STATISTICAL_BITS} of keys: sum fewer at a time"
            )
        there = sum(job.present(c, UPLOAD, self.stages) for c in range(job.clients))
        if there < self.minimum_cohort:
            self.refuse(
                f"{there} clients send a vector, and the minimum cohort is {self.minimum_cohort}"
            )
        plan = self._plan(job, there)
        wire = Wire()
        with nullcontext(team) if team else self.meet() as met:
            (ring,) = met.clients.call(
                "start", degree=RING_DEGREE, prime_bits=PRIME_BITS, bits=BITS
            ).parts
            met.server.call("start", [ring])
            both = Processes(wire, met.clients, met.server)
            key = JointKey(self, threshold, job, both)
            key.make()
            rounds = Rounds(job, both, met, key, plan)
            survivors = rounds.upload(bytes(ring))
            rounds.reduce(rounds.convert(survivors))
            total = rounds.open()
        made, error = len(self.stages), plan.max_error
        return SecureSum.learned(job, total, survivors, wire, max_error=error, rounds=made)

    def _plan(self, job: SumJob, rows: int) -> RankSum | ClippedSum:
        # A word less: the difference of two numbers, or of one and the bound, can't wrap.
        plan = self.plan(job, rows, BITS - 1, clamp=True)
        most = STEP * 2.0 ** (BITS - 2)
        if isinstance(plan, ClippedSum) and max(job.bound / self.clip_norm, rows) > most:
            raise UsageError(
                f"hybrid: words of {BITS} bits clip up to {most:g} vectors within {most:g} clip "
                f"norms, and these are {rows} within {job.bound / self.clip_norm:g}: use a bound "
                "nearer to clip_norm, or fewer clients"
            )
        return plan
