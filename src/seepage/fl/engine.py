"""The round loop: FedSGD and FedAvg (McMahan et al. 2017, algorithm 1) with defenses.

Clients weigh the same in the mean: a weight by record count would be one more thing to
protect, and a client could choose its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING

from ..core.errors import UsageError
from ..core.seeds import torch_rng
from .aggregation import Aggregation
from .cohort import LocalTraining
from .early_stopping import EarlyStopping
from .participation import Cohorts
from .records import trained_on
from .state import detached, load_state, shared_state
from .transcript import RoundRecord, Transcript

if TYPE_CHECKING:
    import torch
    from torch import nn

    from ..core.defense import Defense
    from ..core.task import Records, Task
    from ..core.views import Update


def train(
    task: Task,
    *,
    defenses: Sequence[Defense] = (),
    seed: int,
    replica: int = 0,
    record: Collection[int] = (),
    on_round: Callable[[int], None] | None = None,
    batched: bool | None = None,
    sends: Mapping[int, Update] | None = None,
) -> Transcript:
    """Train `task`, unless its patience ends earlier (it then says when), and tell what happened.

    Parameters
    ----------
    defenses : act in order on what leaves each client, then on the aggregate
    seed, replica : all randomness derives from them; replicas are independent runs
    record : rounds (from 0) to keep in the transcript
    on_round : called with the number of each finished round
    batched : force batched local training on or off (None: where it is possible and faster)
    sends : by client, what it sends in every round instead of training: an auditor's canary

    Raises `RefusedError` where a defense can't protect the job, `ModelError` or `DataError` where
    model and data don't fit, `UsageError` where training diverges or a round is outside the job.
    """
    started = time.perf_counter()
    model = _fresh(task, defenses, record, torch_rng(seed, "model", replica))
    seen = trained_on(task, defenses, seed=seed, replica=replica)
    clients = LocalTraining(
        seen, model, defenses, seed=seed, replica=replica, batched=batched, sends=sends or {}
    )
    cohorts = Cohorts(task, model, defenses, seed=seed, replica=replica)
    aggregation = Aggregation(defenses, task.training.lr)
    state: Update = shared_state(model)
    records: dict[int, RoundRecord] = {}
    stopping = EarlyStopping(task, model)
    for number in range(task.training.rounds):
        cohort, keep = cohorts.of(number), number in record
        done = _round(task, number, state, cohort, clients, aggregation, (seed, replica), keep)
        state = aggregation.apply(number, state, done.aggregate)
        if keep:
            records[number] = done
        if on_round:
            on_round(number)
        if stopping.done(state):
            break
    load_state(model, state)
    return Transcript(
        task=stopping.task,
        defenses=tuple(defenses),
        seed=seed,
        replica=replica,
        rounds=records,
        states={number: record.state for number, record in records.items()},
        model=model.eval(),
        bytes_up=cohorts.took_part * _upload(defenses, _bytes(state)),
        bytes_down=cohorts.took_part * _bytes(state),
        seconds=time.perf_counter() - started,
        sat_out=cohorts.sat_out,
    )


def _fresh(
    task: Task, defenses: Sequence[Defense], record: Collection[int], rng: torch.Generator
) -> nn.Module:
    """Return the model that training starts from, where nothing speaks against the job."""
    rounds = task.training.rounds
    if outside := sorted(r for r in set(record) if not 0 <= r < rounds):
        raise UsageError(f"can't record round {outside[0]}: rounds are 0 to {rounds - 1}")
    model = task.build(rng)
    for defense in defenses:
        defense.check(deepcopy(model), task.training)
    return model


def _round(
    task: Task,
    number: int,
    state: Update,
    cohort: Sequence[int],
    clients: LocalTraining,
    aggregation: Aggregation,
    run: tuple[int, int],
    keep: bool,
) -> RoundRecord:
    """Run one round; unless it is to be kept, the record holds the aggregate only.

    A round that nobody takes part in releases nothing.

    What is kept is copied: a defense may hand on tensors whose memory or autograd graph
    still holds what it was to protect.
    """
    seed, replica = run
    rngs = {c: torch_rng(seed, "defense", replica, number, c) for c in cohort}
    carried = clients.carried() if keep else {}
    released: dict[int, Update] = {}
    batches: dict[int, Records] = {}
    aggregate: Update = {}
    for result in clients.run(number, cohort, state, rngs):
        client = result.client
        sent = aggregation.receive(number, client, result.update, rngs[client])
        if keep:
            released[client] = detached(sent)
            batches[client] = task.clients[client].train.take(result.used)
    if cohort:
        rng = torch_rng(seed, "defense", replica, number, "aggregate")
        aggregate = aggregation.close(number, rng)
    return RoundRecord(
        round=number,
        state=state,
        released=aggregation.readable(released),
        batches=batches,
        aggregate=detached(aggregate),
        carried=carried,
    )


def _bytes(state: Update) -> int:
    return 4 * sum(value.numel() for value in state.values())


def _upload(defenses: Sequence[Defense], plain: int) -> int:
    for defense in defenses:
        plain = defense.upload_bytes(plain)
    return plain
