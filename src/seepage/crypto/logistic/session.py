"""Trains a logistic regression on clients' encrypted records; the server has no key."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import RefusedError, SeepageWarning, UsageError
from ..entropy import Entropy
from ..environments.cards import OPENFHE
from ..environments.find import require
from ..environments.worker import Answer, Worker
from ..handover import hand_over
from ..mapped import mapped
from ..packing import unpack
from ..processes import Processes, fields, packed
from ..protocol import Floats, client_name
from ..wire import Cost, PartyView, Wire
from .model import WEIGHT_BOUND, Layout, Training, same_width, signed_records, with_constant

_HERE = Path(__file__).parent
_DEGREE, _TOY_DEGREE = 1 << 16, 1 << 12


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EncryptedTraining:
    """What came of it.

    Fields
    ------
    weights : `[d + 1]`, the last of the constant; known to clients only
    scores : `[m]`, of the records that were asked about: positive is label 1
    round_seconds : of the server's process, by round; the first needs no bootstrapping
    cost : seconds and bytes
    views : party -> what it received
    """

    weights: Floats
    scores: Floats
    round_seconds: tuple[float, ...]
    cost: Cost
    views: Mapping[str, PartyView]


def train_encrypted(
    clients: Sequence[tuple[Any, Any]],
    training: Training | None = None,
    *,
    asked: Any = None,
    insecure_toy: bool = False,
) -> EncryptedTraining:
    """Return a logistic regression of all clients' records, of which nobody saw another's.

    Clients share a key, send their records encrypted, once, and are not needed again until the
    end: the server does all rounds, and refreshes the weights by bootstrapping between them. Any
    client and the server together read all records; semi-honest. The weights are decrypted by
    clients and not shown to the server, to which the noise in them would tell of the key.

    Parameters
    ----------
    clients : features `[n, d]` in [-1, 1] and labels `[n]`, 0 or 1, of each
    training : rounds, learning rate, and where the logistic function is imitated
    asked : features `[m, d]` of the first client, that the server scores encrypted
    insecure_toy : a small ring that protects nothing, for tests; warns

    Raises `UsageError` where OpenFHE's environment is missing or shapes differ, `RefusedError`
    for records out of range and where weights left the range that can be refreshed.
    """
    if not clients:
        raise UsageError("logistic: there are no clients")
    plan = training or Training()
    given = [(np.asarray(x, np.float64), np.asarray(y)) for x, y in clients]
    columns = same_width([features for features, _ in given]) + 1
    records = [signed_records(x, y, client_name(c)) for c, (x, y) in enumerate(given)]
    degree = _TOY_DEGREE if insecure_toy else _DEGREE
    if insecure_toy:
        warnings.warn(
            "logistic: INSECURE TOY parameters protect nothing", SeepageWarning, stacklevel=2
        )
    layout = Layout(slots=degree // 2, columns=columns)
    questions = np.empty((0, columns))
    if asked is not None:
        questions = with_constant(np.asarray(asked, np.float64))
    session = Session(layout, plan, insecure_toy)
    with session.processes(len(records)):
        return session.run(records, questions)


class Session:
    """The messages of a training: keys, records, the rounds, and what is asked."""

    def __init__(self, layout: Layout, plan: Training, insecure_toy: bool) -> None:
        self._layout, self._plan, self._toy = layout, plan, insecure_toy
        self._wire = Wire()

    @contextmanager
    def processes(self, clients: int) -> Generator[tuple[Worker, Worker]]:
        """Start both processes; the first client makes the keys, and the others get the secret."""
        python = require(OPENFHE)
        with (
            tempfile.TemporaryDirectory() as folder,
            Worker(python, _HERE / "client_process.py", name="logistic: clients") as workers,
            Worker(python, _HERE / "server_process.py", name="logistic: the server") as server,
        ):
            both = self._both = Processes(self._wire, workers, server)
            files = {name: str(Path(folder) / name) for name in ("products", "rotations")}
            shape = {"width": self._layout.width}
            made = both.work(
                0, "make_key", client=0, degree=2 * self._layout.slots, insecure_toy=self._toy,
                **shape, **files,
            )  # fmt: skip
            context, public, secret = (bytes(part) for part in made.parts)
            others = range(1, clients)
            for other, got in hand_over(secret, 0, others, Entropy(), self._wire).items():
                both.work(other, "take_key", [got], client=other)
                both.down("public key", other, both.up("public key", 0, public))
            for path in files.values():
                both.up("evaluation keys", 0, mapped(Path(path)))
            both.serve("start", [bytes(both.up("context", 0, context))], **shape, **files)
            yield workers, server

    def run(self, records: Sequence[Floats], questions: Floats) -> EncryptedTraining:
        """Return what comes of signed records, by client, and of the first client's questions."""
        start = 0
        for client, rows in enumerate(records):
            blocks = self._layout.blocks(rows, start)
            self._upload(client, "records", blocks, call="add")
            start += len(rows)
        one, linear, cube = self._plan.cubic
        step = self._plan.rate / start / WEIGHT_BOUND
        scaled = (one * step, linear * step * WEIGHT_BOUND, cube * step * WEIGHT_BOUND**3)
        seconds = tuple(
            self._both.serve("train", cubic=scaled).seconds for _ in range(self._plan.rounds)
        )
        scores = self._asked(questions)
        weights = self._opened("weights", self._both.serve("weights"))[0][: self._layout.columns]
        if not (np.abs(weights) < WEIGHT_BOUND).all():
            raise RefusedError(
                f"logistic: weights left [-{WEIGHT_BOUND:g}, {WEIGHT_BOUND:g}], where they can be "
                "refreshed: use a lower rate or fewer rounds"
            )
        return EncryptedTraining(
            weights=weights,
            scores=scores,
            round_seconds=seconds,
            cost=self._wire.cost(rounds=2),
            views=self._wire.views(),
        )

    def _asked(self, questions: Floats) -> Floats:
        if not len(questions):
            return np.empty(0)
        blocks = self._layout.blocks(questions)
        scored = self._opened("scores", self._upload(0, "questions", blocks, call="scores"))
        firsts = [block[:: self._layout.width] for block in scored]
        return np.concatenate(firsts)[: len(questions)]

    def _upload(self, client: int, kind: str, blocks: dict[int, Floats], call: str) -> Answer:
        made = self._both.work(client, "encrypt", list(blocks.values()))
        sent = unpack(self._both.up(kind, client, packed(made)))
        numbers = {"numbers": list(blocks)} if call == "add" else {}
        return self._both.serve(call, fields(sent), **numbers)

    def _opened(self, kind: str, answer: Answer) -> list[Floats]:
        """Return what the first client decrypts of the server's answer."""
        given = unpack(self._both.down(kind, 0, packed(answer)))
        found = self._both.work(0, "decrypt", fields(given), client=0)
        return [np.asarray(part) * WEIGHT_BOUND for part in found.parts]
