"""A sum under CKKS whose key clients share: they work in one process, the server in another."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from ...core.errors import require_least
from ..environments.cards import OPENFHE
from ..environments.find import require
from ..environments.worker import Worker
from ..processes import SERVER, Processes
from ..protocol import SecureSum, SumJob, SumProtocol
from ..wire import Wire
from .joint_key import JointKey, opening_threshold
from .parameters import PRIME_BITS, RING_DEGREE, Flood
from .rounds import Rounds

_HERE = Path(__file__).parent
_MOST_OFF = 0.25
"""Of a number that was opened, from a whole one: `Flood.scale_bits` allows no more."""


@dataclass(frozen=True, kw_only=True)
class ThresholdCKKS(SumProtocol):
    """A sum of ciphertexts that clients open together; keys are fresh for each sum.

    Fields
    ------
    threshold : clients that are needed to open the sum: as many can stand in for lost ones, and
        open any vector if they work with the server (None: more than half)
    statistical_bits : what partial decryptions tell of keys is below 2^-this, >= 1
    minimum_cohort : fewest vectors whose sum is revealed, >= 2
    """

    name: ClassVar[str] = "threshold-ckks"
    stages: ClassVar[tuple[str, ...]] = ("keys", "joint key", "upload", "decrypt", "recover")

    threshold: int | None = None
    statistical_bits: int = 40
    minimum_cohort: int = 2

    def __post_init__(self) -> None:
        require_least(self.name, self, statistical_bits=1, minimum_cohort=2)

    def run(self, job: SumJob) -> SecureSum:
        """Return the survivors' sum; `RefusedError` where too few can open it."""
        self.check(job)
        threshold = opening_threshold(self.name, self.threshold, job.clients)
        flood = Flood(clients=job.clients, width=job.width, statistical_bits=self.statistical_bits)
        code = flood.code(job.bound)
        wire = Wire()
        with self.processes() as processes:
            both = Processes(wire, *processes)
            key = JointKey(self, threshold, job, both)
            key.make()
            rounds = Rounds(job, both, key)
            survivors = rounds.upload(flood, code)
            if len(survivors) < self.minimum_cohort:
                self.refuse(
                    f"{len(survivors)} clients sent a vector, and the minimum cohort is "
                    f"{self.minimum_cohort}"
                )
            numbers = rounds.open(flood)[: job.width]
        with wire.at(SERVER):
            whole = np.rint(numbers)
            most = len(survivors) * (job.bound * 2.0**code.fraction_bits + 0.5)
            fits = (np.abs(numbers - whole) <= _MOST_OFF) & (np.abs(whole) <= most)
            if len(numbers) != job.width or not fits.all():
                self.refuse("what was opened is no sum: a message was tampered with")
            total = whole * 2.0**-code.fraction_bits
        made, error = len(self.stages), code.max_error
        return SecureSum.learned(job, total, survivors, wire, max_error=error, rounds=made)

    @contextmanager
    def processes(self) -> Generator[tuple[Worker, Worker]]:
        """Start the clients' process, which makes the ring, and the aggregator's, given it."""
        python = require(OPENFHE)
        with (
            Worker(python, _HERE / "client_process.py", name=f"{self.name}: clients") as clients,
            Worker(
                python, _HERE / "aggregator_process.py", name=f"{self.name}: the aggregator"
            ) as aggregator,
        ):
            ring = clients.call("start", degree=RING_DEGREE, prime_bits=PRIME_BITS)
            aggregator.call("start", ring.parts)
            yield clients, aggregator
