"""A key that clients make together, and who decrypts in whose place once some of them are lost."""

from __future__ import annotations

from collections.abc import Sequence

from ...core.errors import UsageError
from ..packing import pack, pack_numbers, unpack
from ..processes import Processes, packed
from ..protocol import SumJob, SumProtocol, client_name
from .escrow import Escrow


def opening_threshold(name: str, threshold: int | None, clients: int) -> int:
    """Return how many clients it takes to open: what was asked for, or more than half.

    Raises `UsageError` for what no cohort of so many clients can have.
    """
    found = clients // 2 + 1 if threshold is None else threshold
    if not 1 <= found <= clients:
        raise UsageError(f"{name}: threshold is {found}; use 1 to {clients}")
    return found


class JointKey:
    """The key of one sum: no one has it, each client has a share, and so has the escrow.

    Clients are there at the protocol's stages "keys" and "joint key", or have no part in it.
    """

    def __init__(self, protocol: SumProtocol, threshold: int, job: SumJob, both: Processes) -> None:
        self._protocol, self._threshold = protocol, threshold
        self._job, self._both = job, both
        self._escrows: dict[int, Escrow] = {}
        self._roster: dict[int, bytes] = {}
        self._sealed: dict[int, bytes] = {}
        self._boxes: dict[tuple[int, int], bytes] = {}
        self.public = b""

    def make(self) -> None:
        """Have each client add its share to the key, one after the other."""
        for client in self.there("keys"):
            with self._both.wire.at(client_name(client)):
                self._escrows[client] = Escrow(client, self._job.entropy)
            public = self._both.up("keys", client, self._escrows[client].public)
            self._roster[client] = bytes(public)
        for client in self.there("joint key"):
            self._make_share(client)
        if len(self._sealed) < self._threshold:
            self._protocol.refuse(
                f"{len(self._sealed)} clients made the key, and {self._threshold} are needed to "
                "open a sum"
            )

    def there(self, stage: str) -> tuple[int, ...]:
        """Return who is there at a stage, of those whose share is in the key once it is made."""
        known = self._sealed or self._escrows or range(self._job.clients)
        stages = self._protocol.stages
        return tuple(c for c in known if self._job.present(c, stage, stages))

    def holders(self, stage: str, again: str) -> list[tuple[int, int]]:
        """Return who decrypts at a stage by whose share of the key, whoever holds its own first.

        Where shares are lost, the clients that are there at the stage `again` stand in for them;
        `RefusedError` where those are too few.
        """
        there = self.there(stage)
        lost = sorted(self._sealed.keys() - set(there))
        helpers = self.there(again) if lost else there
        if len(helpers) < self._threshold:
            self._protocol.refuse(
                f"{len(lost)} of the {len(self._sealed)} clients that made the key are lost, and "
                f"{len(helpers)} of the {self._threshold} that it takes to stand in for them are "
                "left: sum anew with those that are there"
            )
        for client in lost:
            self._both.clients.call("lose", client=client)
            self._recover(client, helpers)
        return [(c, c) for c in there] + [(helpers[0], c) for c in lost]

    def _make_share(self, client: int) -> None:
        """Send the key so far and the roster down; get the key with a client's share in it."""
        escrow, others = self._escrows[client], dict(self._roster)
        del others[client]
        roster = pack(pack_numbers(tuple(self._roster)), *self._roster.values())
        given = unpack(self._both.down("roster", client, pack(self.public, roster)), 2)
        with self._both.wire.at(client_name(client)):
            boxes = escrow.boxes(others, self._threshold)
        before = [bytes(given[0])] if self.public else []
        made = self._both.work(client, "make_key", [escrow.seal, *before], client=client)
        sent = unpack(self._both.up("joint key", client, pack(packed(made), *boxes.values())))
        public, sealed = unpack(sent[0], 2)
        self.public, self._sealed[client] = bytes(public), bytes(sealed)
        for other, box in zip(others, sent[1:], strict=True):
            self._boxes[client, other] = bytes(box)

    def _recover(self, lost: int, helpers: Sequence[int]) -> None:
        """Have the first of `helpers` take the key of a lost client out of its seal."""
        first, boxes = helpers[0], dict[int, bytes]()
        for helper in helpers[: self._threshold]:
            box = bytes(self._both.down("recover", helper, self._boxes[lost, helper]))
            with self._both.wire.at(client_name(helper)):
                passed = self._escrows[helper].passed_on(lost, box, self._roster, first)
            boxes[helper] = passed
            if helper != first:
                boxes[helper] = bytes(
                    self._both.down("recover", first, self._both.up("recover", helper, passed))
                )
        sealed = bytes(self._both.down("sealed key", first, self._sealed[lost]))
        with self._both.wire.at(client_name(first)):
            seal = self._escrows[first].recovered(lost, boxes, self._roster)
        self._both.work(first, "recover", [seal, sealed], client=lost)
