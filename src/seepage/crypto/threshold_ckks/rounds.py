"""The messages of a threshold sum, round by round."""

from __future__ import annotations

import numpy as np

from ..fixed_point import FixedPoint
from ..packing import unpack
from ..processes import Processes, fields, packed
from ..protocol import UPLOAD, Floats, SumJob, client_name
from ..wire import Payload
from .joint_key import JointKey
from .parameters import Flood


class Rounds:
    """One sum under a key that is made: clients upload, and open what was added up."""

    def __init__(self, job: SumJob, both: Processes, key: JointKey) -> None:
        self._job, self._both, self._key = job, both, key

    def upload(self, flood: Flood, code: FixedPoint) -> tuple[int, ...]:
        """Have clients encrypt under the key of all; return which of them did."""
        survivors = self._key.there(UPLOAD)
        for client in survivors:
            name = client_name(client)
            public = bytes(self._both.down("joint key", client, self._key.public))
            with self._both.wire.at(name):
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
        holders = self._key.holders("decrypt", "recover")
        for by, owner in holders:
            given = self._both.down("encrypted sum", by, total) if by == owner else total
            self._decrypt(by, owner, given, flood, lead=owner == holders[0][1])
        (numbers,) = self._both.serve("opened", [], scale_bits=flood.scale_bits).parts
        return np.asarray(numbers)

    def _decrypt(self, by: int, owner: int, total: Payload, flood: Flood, *, lead: bool) -> None:
        """Send the part of the decryption that `by` makes, by the key of `owner`, up."""
        part = self._both.work(
            by,
            "decrypt_in_part",
            fields(unpack(total)),
            client=owner,
            lead=lead,
            deviation_bits=flood.deviation_bits,
            coarse_bits=flood.coarse_bits,
        )
        self._both.serve("fuse", fields(unpack(self._both.up("decrypt", by, packed(part)))))
