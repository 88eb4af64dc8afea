"""The messages of a threshold sum, round by round."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..environments.worker import Worker
from ..fixed_point import FixedPoint
from ..packing import pack, pack_numbers, unpack
from ..processes import Processes, fields, packed
from ..protocol import UPLOAD, Floats, SumJob, SumProtocol, client_name
from ..wire import Payload, Wire
from .escrow import Escrow
from .parameters import Flood


class Rounds:
    """One sum: clients' OpenFHE work is done in one process, the aggregator's in another."""

    def __init__(
        self,
        protocol: SumProtocol,
        threshold: int,
        job: SumJob,
        wire: Wire,
        processes: tuple[Worker, Worker],
    ) -> None:
        self._protocol, self._threshold = protocol, threshold
        self._job, self._wire = job, wire
        self._both = Processes(wire, *processes)
        self._escrows: dict[int, Escrow] = {}
        self._roster: dict[int, bytes] = {}
        self._sealed: dict[int, bytes] = {}
        self._boxes: dict[tuple[int, int], bytes] = {}
        self._public = b""

    def make_keys(self) -> None:
        """Have each client add its share to the key, one after the other."""
        for client in self._there("keys"):
            with self._wire.at(client_name(client)):
                self._escrows[client] = Escrow(client, self._job.entropy)
            public = self._both.up("keys", client, self._escrows[client].public)
            self._roster[client] = bytes(public)
        for client in self._there("joint key"):
            self._make_key(client)
        if len(self._sealed) < self._threshold:
            self._protocol.refuse(
                f"{len(self._sealed)} clients made the key, and {self._threshold} are needed to "
                "open a sum"
            )

    def upload(self, flood: Flood, code: FixedPoint) -> tuple[int, ...]:
        """Have clients encrypt under the key of all; return which of them did."""
        survivors = self._there(UPLOAD)
        for client in survivors:
            name = client_name(client)
            public = bytes(self._both.down("joint key", client, self._public))
            with self._wire.at(name):
                vector = code.checked(self._job.contribution(client), name)
                words = np.empty(len(vector), np.uint64)
                code.encode(vector, words, name)
                codes = words.view(np.int64).astype(np.float64)
            made = self._both.work(client, "encrypt", [public, codes], scale_bits=flood.scale_bits)
            self._both.serve("add", fields(unpack(self._both.up(UPLOAD, client, packed(made)))))
        return survivors

    def open(self, flood: Flood) -> Floats:
        """Have all clients decrypt, or others for those that are lost; return the numbers."""
        total = packed(self._both.serve("total", []))
        there = self._there("decrypt")
        lost = sorted(self._sealed.keys() - set(there))
        helpers = self._there("recover") if lost else there
        if len(helpers) < self._threshold:
            self._protocol.refuse(
                f"{len(lost)} of the {len(self._sealed)} clients that made the key are lost, and "
                f"{len(helpers)} of the {self._threshold} that it takes to stand in for them are "
                "left: sum anew with those that are there"
            )
        for client in there:
            given = self._both.down("encrypted sum", client, total)
            self._decrypt(client, client, given, flood, lead=client == there[0])
        for client in lost:
            self._both.clients.call("lose", client=client)
            self._recover(client, helpers)
            self._decrypt(helpers[0], client, total, flood, lead=False)
        (numbers,) = self._both.serve("opened", [], scale_bits=flood.scale_bits).parts
        return np.asarray(numbers)

    def _make_key(self, client: int) -> None:
        """Send the key so far and the roster down; get the key with a client's share in it."""
        escrow, others = self._escrows[client], dict(self._roster)
        del others[client]
        roster = pack(pack_numbers(tuple(self._roster)), *self._roster.values())
        given = unpack(self._both.down("roster", client, pack(self._public, roster)), 2)
        with self._wire.at(client_name(client)):
            boxes = escrow.boxes(others, self._threshold)
        before = [bytes(given[0])] if self._public else []
        made = self._both.work(client, "make_key", [escrow.seal, *before], client=client)
        sent = unpack(self._both.up("joint key", client, pack(packed(made), *boxes.values())))
        public, sealed = unpack(sent[0], 2)
        self._public, self._sealed[client] = bytes(public), bytes(sealed)
        for other, box in zip(others, sent[1:], strict=True):
            self._boxes[client, other] = bytes(box)

    def _decrypt(
        self, worker: int, owner: int, total: Payload, flood: Flood, *, lead: bool
    ) -> None:
        """Send `worker`'s part of the decryption, by the key of `owner`, up."""
        part = self._both.work(
            worker,
            "decrypt_in_part",
            fields(unpack(total)),
            client=owner,
            lead=lead,
            deviation_bits=flood.deviation_bits,
            coarse_bits=flood.coarse_bits,
        )
        self._both.serve("fuse", fields(unpack(self._both.up("decrypt", worker, packed(part)))))

    def _recover(self, lost: int, helpers: Sequence[int]) -> None:
        """Have the first of `helpers` take the key of a lost client out of its seal."""
        first, boxes = helpers[0], dict[int, bytes]()
        for helper in helpers[: self._threshold]:
            box = bytes(self._both.down("recover", helper, self._boxes[lost, helper]))
            with self._wire.at(client_name(helper)):
                passed = self._escrows[helper].passed_on(lost, box, self._roster, first)
            boxes[helper] = passed
            if helper != first:
                boxes[helper] = bytes(
                    self._both.down("recover", first, self._both.up("recover", helper, passed))
                )
        sealed = bytes(self._both.down("sealed key", first, self._sealed[lost]))
        with self._wire.at(client_name(first)):
            seal = self._escrows[first].recovered(lost, boxes, self._roster)
        self._both.work(first, "recover", [seal, sealed], client=lost)

    def _there(self, stage: str) -> tuple[int, ...]:
        """Return who is there at a stage, of those whose share is in the key once it is made."""
        known = self._sealed or self._escrows or range(self._job.clients)
        stages = self._protocol.stages
        return tuple(c for c in known if self._job.present(c, stage, stages))
