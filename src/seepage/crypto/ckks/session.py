"""All roles of a sum under CKKS; the aggregator is a process of its own."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...core.errors import MissingExtraError, SeepageWarning, require_least
from ..environments.worker import Worker
from ..fixed_point import FixedPoint
from ..packing import pack, unpack
from ..protocol import UPLOAD, SecureSum, SumJob, SumProtocol, client_name
from ..wire import Payload, Wire
from .parameters import Parameters

if TYPE_CHECKING:
    from .keys import HeldKey, KeyRing
    from .seal_scheme import Scheme

SERVER = "server"
_AGGREGATOR = Path(__file__).with_name("aggregator_process.py")


@dataclass(frozen=True, kw_only=True)
class CKKS(SumProtocol):
    """A sum of ciphertexts, opened by a client that holds the key.

    One object may be run many times: it keeps its key for `rotate_every` sums.

    Fields
    ------
    poly_modulus_degree, modulus_bits : of the ring; 128-bit secure or refused
    key_holders : clients that hold the key, >= 1; the sum is lost when all of them are
    rotate_every : sums under one key, >= 1; `ring.rotate()` replaces it sooner
    minimum_cohort : fewest vectors whose sum is revealed, >= 2
    insecure_toy : allow parameters that are not 128-bit secure, for tests; warns
    """

    name: ClassVar[str] = "ckks"
    stages: ClassVar[tuple[str, ...]] = ("keys", UPLOAD, "decrypt")

    poly_modulus_degree: int = 4096
    modulus_bits: int = 60
    key_holders: int = 2
    rotate_every: int = 1
    minimum_cohort: int = 2
    insecure_toy: bool = False

    def __post_init__(self) -> None:
        require_least(self.name, self, key_holders=1, rotate_every=1, minimum_cohort=2)
        _ = self.parameters

    @property
    def parameters(self) -> Parameters:
        """The ring and the modulus; `UsageError` for insecure ones."""
        return Parameters(
            degree=self.poly_modulus_degree,
            modulus_bits=self.modulus_bits,
            insecure_toy=self.insecure_toy,
        )

    @cached_property
    def ring(self) -> KeyRing:
        """The key that clients hold, and how many sums it was used for."""
        from .keys import KeyRing

        return KeyRing()

    def run(self, job: SumJob) -> SecureSum:
        """Return the survivors' sum; `RefusedError` where they, or the key's holders, are gone."""
        self.check(job)
        if self.insecure_toy:
            warnings.warn(
                "ckks: INSECURE TOY parameters protect nothing", SeepageWarning, stacklevel=2
            )
        code = self.parameters.code(job.clients, job.bound)
        wire = Wire()
        with _tenseal():
            from .client import opened
            from .seal_scheme import Scheme
        scheme = Scheme(self.poly_modulus_degree, self.modulus_bits, insecure=self.insecure_toy)
        key = self._key(job, scheme, wire)
        survivors = self._there(job, UPLOAD)
        if len(survivors) < self.minimum_cohort:
            self.refuse(
                f"{len(survivors)} clients sent a vector, and the minimum cohort is "
                f"{self.minimum_cohort}"
            )
        total = self._aggregate(job, scheme, key, survivors, code, wire)
        holder = self._holder(job, key)
        with wire.at(holder):
            codes = opened(total, code, scheme, key.seed, clients=len(survivors), width=job.width)
        answer = wire.send("sum", holder, SERVER, codes.tobytes())
        with wire.at(SERVER):
            decoded = code.decode(np.frombuffer(answer, np.uint32))
        by, error = (holder, SERVER), code.max_error
        return SecureSum.learned(job, decoded, survivors, wire, max_error=error, by=by, rounds=3)

    def _key(self, job: SumJob, scheme: Scheme, wire: Wire) -> HeldKey:
        from .keys import make_key

        there = self._there(job, "keys")
        if not there:
            self.refuse("no client is there to draw a key")
        key = self.ring.use(self.rotate_every, there)
        if key is None:
            key = make_key(scheme, there[: self.key_holders], job.entropy, wire)
            self.ring.put(key)
        wire.send("public key", client_name(key.holders[0]), SERVER, key.public)
        return key

    def _aggregate(
        self,
        job: SumJob,
        scheme: Scheme,
        key: HeldKey,
        survivors: tuple[int, ...],
        code: FixedPoint,
        wire: Wire,
    ) -> Payload:
        """Return the encrypted sum, added up by a process that has no secret key."""
        from .client import encrypted

        scale_bits = self.parameters.scale_bits(job.clients)
        with self.aggregator(key.public) as aggregator:
            for client in survivors:
                name = client_name(client)
                public = bytes(wire.send("public key", SERVER, name, key.public))
                with wire.at(name):
                    vector = code.checked(job.contribution(client), name)
                    upload = encrypted(vector, code, scheme, scale_bits, public)
                received = unpack(wire.send(UPLOAD, name, SERVER, upload))
                added = aggregator.call("add", [bytes(field) for field in received])
                wire.spent(SERVER, added.seconds)
            total = aggregator.call("total")
            wire.spent(SERVER, total.seconds)
        return wire.send(
            "encrypted sum", SERVER, self._holder(job, key), pack(*map(bytes, total.parts))
        )

    @contextmanager
    def aggregator(self, public: bytes) -> Generator[Worker]:
        """Start an aggregator's process with the public context, and nothing else."""
        with Worker(Path(sys.executable), _AGGREGATOR, name="ckks: the aggregator") as worker:
            worker.call(
                "start",
                [public],
                degree=self.poly_modulus_degree,
                modulus_bits=self.modulus_bits,
                insecure=self.insecure_toy,
            )
            yield worker

    def _holder(self, job: SumJob, key: HeldKey) -> str:
        for client in key.holders:
            if job.present(client, "decrypt", self.stages):
                return client_name(client)
        return self.refuse(
            f"all {len(key.holders)} clients that hold the key are gone, and nobody else can "
            "decrypt: sum anew, with more key_holders"
        )

    def _there(self, job: SumJob, stage: str) -> tuple[int, ...]:
        return tuple(c for c in range(job.clients) if job.present(c, stage, self.stages))


@contextmanager
def _tenseal() -> Generator[None]:
    try:
        yield
    except ImportError as error:
        raise MissingExtraError("the protocol ckks", "he") from error
