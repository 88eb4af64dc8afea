"""A round in which the server departs from the protocol.

The job runs honestly up to a round; then the server sends what models it likes, to whom it
likes, and reads what comes back. It does not apply what it collected: the job goes on as if
the round had failed, so that one honest training serves many attacks.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING

from ..core.defense import Receipt
from ..core.errors import ModelError, RefusedError, UsageError
from ..core.seeds import derive_seed, torch_rng
from ..core.views import ServerKnowledge
from .aggregation import Aggregation
from .batches import distinct, draws_of, expected_batch
from .client import ClientTrainer
from .participation import admitted
from .probe import traits
from .records import trained_on
from .state import detached, finite, shared_state
from .transcript import RoundRecord
from .vantage import common, model_at, recorded

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor, nn

    from ..core.attack import ServerMove
    from ..core.task import Records
    from ..core.threat import Observer
    from ..core.views import Update
    from .transcript import Transcript


def malicious_round(
    transcript: Transcript,
    observer: Observer,
    number: int,
    server: Callable[[ServerKnowledge], ServerMove],
    *,
    attempt: int = 0,
) -> Transcript:
    """Return the transcript with a (recorded) round run anew under the server's move.

    Clients draw new batches, other ones in each `attempt`, and train as the job says on
    whatever model they get. Where their defenses refuse a sum, the record says so in `aborted`.
    Raises `UsageError` where the move names clients that the job has not, or less than 0 of the
    server's own, `RefusedError` where the defenses let none of them take part, `ModelError`
    where a sent model does not take the job's records.
    """
    (honest,) = recorded(transcript, [number])
    cohort = tuple(sorted(honest.batches))
    knowledge = ServerKnowledge(
        **common(transcript, observer, clients=cohort),
        round=number,
        model=model_at(transcript, honest.state, training=True),
        cohort=cohort,
    )
    move = server(knowledge)
    cohort = cohort if move.cohort is None else move.cohort
    if strangers := (set(cohort) | set(move.models)) - set(range(len(transcript.task.clients))):
        raise UsageError(f"the server's move names client {min(strangers)}: the job has none such")
    if move.sybils < 0:
        raise UsageError(f"the server's move has {move.sybils} clients of its own; use 0 or more")
    cohort = admitted(transcript.task, transcript.model, transcript.defenses, cohort, number)
    if not cohort:
        raise RefusedError(f"round {number}: the defenses let no client of the move take part")
    record = _Round(transcript, number, attempt).run(honest, cohort, move)
    return replace(transcript, rounds={number: record}, states={number: honest.state})


class _Round:
    """The clients' side: each trains on the model that it got, and binds its receipt."""

    def __init__(self, transcript: Transcript, number: int, attempt: int) -> None:
        self.transcript, self.number = transcript, number
        self.seeds = (transcript.seed, "malicious", transcript.replica, number, attempt)
        self.trainers: dict[int, ClientTrainer] = {}
        self.seen = trained_on(
            transcript.task,
            transcript.defenses,
            seed=transcript.seed,
            replica=transcript.replica,
        )

    def run(self, honest: RoundRecord, cohort: Sequence[int], move: ServerMove) -> RoundRecord:
        """Return the round in which each client trained what it was sent."""
        task, defenses = self.transcript.task, self.transcript.defenses
        plain = model_at(self.transcript, honest.state, training=True)
        aggregation = Aggregation(defenses, task.training.lr)
        released: dict[int, Update] = {}
        batches: dict[int, Records] = {}
        own = range(len(task.clients), len(task.clients) + move.sybils)
        for client in cohort:
            model = move.models.get(client, plain)
            drawn = self._draws(client)
            steps = [self.seen.clients[client].train.take(indices) for indices in drawn]
            update = self._update(client, model, steps, honest.carried)
            receipt = Receipt(model=model, roster=(*cohort, *own), round=self.number)
            bound = b"".join(d.commitment(receipt) for d in defenses)
            rng = torch_rng(*self.seeds, "defense", client)
            sent = aggregation.receive(self.number, client, update, rng, bound)
            released[client] = detached(sent)
            batches[client] = distinct([task.clients[client].train.take(i) for i in drawn])
        aggregation.add_silent(len(own))
        aggregate, aborted = {}, ""
        try:
            rng = torch_rng(*self.seeds, "aggregate")
            aggregate = detached(aggregation.close(self.number, rng))
        except RefusedError as error:
            aborted = str(error)
        return RoundRecord(
            round=self.number,
            state=honest.state,
            released=aggregation.readable(released),
            batches=batches,
            aggregate=aggregate,
            sent={c: m for c, m in move.models.items() if c in cohort},
            aborted=aborted,
            carried=honest.carried,
            sybils=len(own),
        )

    def _draws(self, client: int) -> list[Tensor]:
        training, data = self.transcript.task.training, self.transcript.task.clients[client].train
        size = expected_batch(len(data), training.batch_size)
        rng = torch_rng(*self.seeds, "batches", client)
        draws = draws_of(self.transcript.defenses, len(data), size, rng)
        return [draws.draw() for _ in range(training.local_steps)]

    def _update(
        self,
        client: int,
        model: nn.Module,
        steps: Sequence[Records],
        carried: Mapping[int, Update],
    ) -> dict[str, Tensor]:
        task = self.transcript.task
        if id(model) not in self.trainers:
            for defense in self.transcript.defenses:
                defense.check(deepcopy(model), task.training)
            stochastic = traits(task, model).stochastic
            self.trainers[id(model)] = ClientTrainer(
                task, model, self.transcript.defenses, stochastic=stochastic, carried=carried
            )
        update = self.trainers[id(model)].run(
            client,
            shared_state(model),
            steps,
            expected=expected_batch(len(task.clients[client].train), task.training.batch_size),
            rng=torch_rng(*self.seeds, "noise", client),
            seed=derive_seed(*self.seeds, "local", client),
            number=self.number,
        )
        if not finite(update):
            raise ModelError(f"on the sent model, the update of client {client} is not finite")
        return update
