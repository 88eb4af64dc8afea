"""The messages of a hybrid sum, round by round."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..environments.worker import Answer
from ..packing import pack, unpack
from ..processes import SERVER, Processes, fields, packed
from ..protocol import UPLOAD, Floats, SumJob, client_name
from ..spu.reductions import STEP, ClippedSum, RankSum
from ..threshold_ckks.joint_key import JointKey
from ..wire import Payload
from .parameters import BITS
from .team import PARTIES, Team
from .words import Words, drawn, raised, signed

CONVERT, OPEN = "convert", "open"
"""Stages, and what is opened at each: every vector under masks, and the result."""

_NAMES = [f"party {rank}" for rank in range(PARTIES)]


class Rounds:
    """One sum under a key that is made, of the clients that upload."""

    def __init__(
        self,
        job: SumJob,
        both: Processes,
        team: Team,
        key: JointKey,
        plan: RankSum | ClippedSum,
    ) -> None:
        self._job, self._wire, self._both = job, both.wire, both
        self._team, self._key, self._plan = team, key, plan

    def upload(self, ring: bytes) -> tuple[int, ...]:
        """Have clients encrypt their words; the key goes to whoever encrypts."""
        survivors = self._key.there(UPLOAD)
        for client in survivors:
            name = client_name(client)
            public = bytes(self._both.down("joint key", client, self._key.public))
            with self._wire.at(name):
                words = _coded(self._plan, self._job, client)
            made = self._both.work(client, "encrypt", [public, words])
            self._add(name, self._both.up(UPLOAD, client, packed(made)))
        for rank, name in enumerate(_NAMES):
            public = bytes(self._wire.send("joint key", SERVER, name, self._key.public))
            self._party(rank, self._team.parties[rank].call("start", [ring, public]))
        return survivors

    def convert(self, survivors: tuple[int, ...]) -> list[Words]:
        """Open each vector under masks of all parties; return each party's addend of all of them.

        The addends, `[survivors, width]`, are uniform modulo 2^BITS, any two of them together.
        """
        shape = (len(survivors), self._job.width)
        masks: list[Words] = []
        for rank, name in enumerate(_NAMES):
            with self._wire.at(name):
                masks.append(drawn(shape, BITS, self._job.entropy))
            for client, row in zip(survivors, masks[rank], strict=True):
                self._mask(rank, client_name(client), row)
        opened = self._opened(CONVERT, [client_name(client) for client in survivors])
        with self._wire.at(SERVER):
            per_row = len(opened) // len(survivors)
            masked = opened.reshape(-1, per_row)[:, : self._job.width].astype(np.int32)
        sent = self._wire.send("masked", SERVER, _NAMES[0], masked.tobytes())
        with self._wire.at(_NAMES[0]):
            masks[0] = masks[0] + np.frombuffer(sent, np.int32).reshape(shape)
        return masks

    def reduce(self, addends: list[Words]) -> None:
        """Have parties reduce what they have addends of; the server gets the result, masked."""
        masks: list[Words] = []
        shapes: dict[str, tuple[int, ...]] = {}
        for rank, name in enumerate(_NAMES):
            with self._wire.at(name):
                masks.append(drawn((self._job.width,), BITS, self._job.entropy))
            self._share(rank, f"addend {rank}", addends[rank])
            self._share(rank, f"mask {rank}", masks[rank])
        for kind, shape in (("addend", addends[0].shape), ("mask", masks[0].shape)):
            shapes |= {f"{kind} {rank}": shape for rank in range(PARTIES)}
        program = {"kind": "masked", "inner": self._plan.program, "shift": 64 - BITS}
        code, seconds = self._team.spu.compile(program, shapes, "<i8")
        released: list[Payload] = []
        for name, ran in zip(_NAMES, self._team.spu.run(code, list(shapes)), strict=True):
            self._wire.spent(name, seconds + ran.seconds)
            self._wire.crossed(name, "other parties", ran.sent)
            released.append(self._wire.send("masked result", name, SERVER, ran.share))
        found, seconds = self._team.spu.reconstruct(released)
        self._wire.spent(SERVER, seconds)
        for rank, row in enumerate(masks):
            self._mask(rank, OPEN, row)
        words = found.astype(np.int64) >> (64 - BITS)
        self._both.serve("add_words", [words], name=OPEN)

    def open(self) -> Floats:
        """Have clients open the result; return it as numbers."""
        words = self._opened(OPEN, [OPEN])[: self._job.width]
        with self._wire.at(SERVER):
            if isinstance(self._plan, ClippedSum):
                return self._plan.decode(words * STEP)
            return self._plan.decode(words)

    def _mask(self, rank: int, name: str, row: Words) -> None:
        """Have a party take an encrypted mask from what the server holds under a name."""
        with self._wire.at(_NAMES[rank]):
            negated = signed(-row, BITS)
        made = self._party(rank, self._team.parties[rank].call("encrypt", [negated]))
        self._add(name, self._wire.send("encrypted mask", _NAMES[rank], SERVER, packed(made)))

    def _share(self, rank: int, name: str, words: Words) -> None:
        """Have a party share words with all parties; its own share stays where it is."""
        with self._wire.at(_NAMES[rank]):
            high = raised(words, BITS)
        messages, seconds = self._team.spu.share(high, by=rank)
        self._wire.spent(_NAMES[rank], seconds)
        for other, message in enumerate(messages):
            given: Payload = message
            if other != rank:
                given = self._wire.send("share", _NAMES[rank], _NAMES[other], message)
            self._wire.spent(_NAMES[other], self._team.spu.hold(other, name, given))

    def _opened(self, stage: str, names: Sequence[str]) -> Words:
        """Have clients decrypt all that the server holds under some names; return the words."""
        given = pack(*(packed(self._both.serve("held", name=name)) for name in names))
        holders = self._key.holders(stage, stage)
        for by, owner in holders:
            sent = self._both.down(stage, by, given) if by == owner else given
            ciphers = [raw for one in unpack(sent) for raw in fields(unpack(one))]
            part = self._both.work(
                by,
                "decrypt_in_part",
                ciphers,
                client=owner,
                lead=owner == holders[0][1],
            )
            parts = unpack(self._both.up(stage, by, packed(part)))
            self._both.serve("fuse", fields(parts), name=stage)
        (words,) = self._both.serve("opened", name=stage).parts
        return signed(np.asarray(words), BITS)

    def _add(self, name: str, message: Payload) -> None:
        self._both.serve("add", fields(unpack(message)), name=name)

    def _party(self, rank: int, answer: Answer) -> Answer:
        self._wire.spent(_NAMES[rank], answer.seconds)
        return answer


def _coded(plan: RankSum | ClippedSum, job: SumJob, client: int) -> Words:
    vector, who = job.contribution(client), client_name(client)
    if isinstance(plan, ClippedSum):
        return np.rint(plan.encode(vector, who) / STEP).astype(np.int64)
    return plan.encode(vector, who)
