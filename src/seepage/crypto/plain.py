"""The sum without any protection: the server sees every vector. What others are compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .fixed_point import FixedPoint
from .protocol import UPLOAD, SecureSum, SumJob, SumProtocol, client_name
from .wire import Wire


@dataclass(frozen=True, kw_only=True)
class PlainSum(SumProtocol):
    """Sends vectors as float32 and adds them in doubles."""

    name: ClassVar[str] = "plain"

    def run(self, job: SumJob) -> SecureSum:
        """Return the sum."""
        self.check(job)
        wire = Wire()
        there = tuple(c for c in range(job.clients) if job.present(c, UPLOAD, self.stages))
        if not there:
            self.refuse("no client is left")
        code = FixedPoint(job.clients, job.bound)
        total = np.zeros(job.width)
        for client in there:
            with wire.at(client_name(client)):
                vector = code.checked(job.contribution(client), client_name(client))
                payload = vector.astype(np.float32).tobytes()
            sent = wire.send(UPLOAD, client_name(client), "server", payload)
            with wire.at("server"):
                total += np.frombuffer(sent, np.float32)
        error = len(there) * job.bound * 2.0**-23
        return SecureSum.learned(job, total, there, wire, max_error=error)
