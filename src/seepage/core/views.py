"""What an observer saw, exactly, and nothing else: one type per vantage point.

What was not granted is not in the object. Optional knowledge comes as separate
fact objects in `facts`; `defenses` holds the public cards of the defenses in force
(Kerckhoffs). Models are detached copies: an attack may do with them what it likes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from torch import Tensor, nn

    from .cards import DefenseCard
    from .columns import TableColumn
    from .threat import Observer

    Loss = Callable[[Tensor, Tensor], Tensor]
    Update = Mapping[str, Tensor]


@dataclass(frozen=True, kw_only=True, slots=True)
class JobFacts:
    """What everybody who takes part in a job knows of it.

    `input_shape` leaves out the batch axis. `value_range` is the range that public
    preprocessing maps each input value to, or None where there is none. `cohort` is
    the number of clients a round, `classes` the number of labels (0 for regression).
    `columns` says which features of a table's records are which column.
    """

    input_shape: tuple[int, ...]
    classes: int
    value_range: tuple[float, float] | None
    clients: int
    cohort: int
    local_steps: int
    lr: float
    columns: tuple[TableColumn, ...] = ()


@dataclass(frozen=True, slots=True)
class BatchSize:
    """The batch size of local training (its expectation under Poisson sampling)."""

    value: int


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """The labels of the batch, `[batch]`."""

    value: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Records whose membership is in question: inputs `[n, *shape]`, targets `[n]`."""

    inputs: Tensor
    targets: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class CandidateClients:
    """Whole clients whose part in the job is in question, by the records that they hold.

    Fields
    ------
    inputs, targets : the records of all of them, `[n, *shape]` and `[n]`
    client : whose each record is, int64 `[n]` from 0 to clients - 1, each of them with one
    """

    inputs: Tensor
    targets: Tensor
    client: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class PartialRecords:
    """Records of a table of which all is known but one column, whose features are 0.

    Fields
    ------
    inputs, targets : what is known, `[n, d]` and `[n]`
    column : the one that is not
    codes : the features of each value that it may have, `[k, width]`
    held : how many records their client trains on (all clients, where the view is of a model)
    """

    inputs: Tensor
    targets: Tensor
    column: TableColumn
    codes: Tensor
    held: int

    def completed(self) -> Tensor:
        """Return each record with each value in turn, `[n, k, d]`."""
        filled = self.inputs[:, None].repeat(1, len(self.codes), 1)
        filled[:, :, self.column.features] = self.codes
        return filled


@dataclass(frozen=True, slots=True, eq=False)
class AuxiliaryData:
    """Records like the victims', disjoint from them: inputs `[n, *shape]`, targets `[n]`."""

    inputs: Tensor
    targets: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Simulated:
    """A federation that the observer trained.

    `model` is the final one, in evaluation mode; `states` the global ones before the rounds
    that were asked for.
    """

    model: nn.Module
    states: tuple[Update, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Simulation:
    """A way to train federations as the job's was, its defenses included.

    `records` is how many the job trains on. `train(pool, parts, rounds, seed)` deals the
    records of `pool` that each of `parts` indexes (int64 `[n]`) out to the clients of a
    federation, trains it, and keeps the states before `rounds`.
    """

    records: int
    train: Callable[[AuxiliaryData, Sequence[Tensor], Sequence[int], int], Sequence[Simulated]]


Asked = Candidates | CandidateClients | PartialRecords
Fact = BatchSize | Labels | Asked | AuxiliaryData | Simulation
F = TypeVar("F", bound=Fact)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Vantage:
    observer: Observer
    job: JobFacts
    loss: Loss
    defenses: tuple[DefenseCard, ...] = ()
    facts: tuple[Fact, ...] = ()

    def fact(self, kind: type[F]) -> F | None:
        """Return the fact of this kind, or None where the observer does not know it."""
        return next((f for f in self.facts if isinstance(f, kind)), None)

    def of_update(
        self, update: Update, *, model: nn.Module, number: int, client: int
    ) -> UpdateView:
        """Return the view of a client's update in round `number` with what is known here."""
        return UpdateView(
            observer=self.observer,
            job=self.job,
            loss=self.loss,
            defenses=self.defenses,
            facts=self.facts,
            round=number,
            client=client,
            model=model,
            update=update,
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class UpdateView(_Vantage):
    """One client's update in one round, as it left the client.

    `update` maps parameter (and float buffer) names to new minus old value; `model` is
    the model that the client was sent, in the mode in which it trains.
    """

    round: int
    client: int
    model: nn.Module
    update: Update


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class AggregateView(_Vantage):
    """The mean update of a round's cohort, where single updates are hidden.

    `model` is the model that most clients were sent. `sent` has the models that a malicious
    server sent by client, and is empty where it sent the honest one to all. `cohort` names the
    contributors (empty: not known) but for the server's own, `sybils`, whose updates are 0.
    """

    round: int
    contributors: int
    model: nn.Module
    aggregate: Update
    sent: Mapping[int, nn.Module] = field(default_factory=dict[int, "nn.Module"])
    cohort: tuple[int, ...] = ()
    sybils: int = 0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ServerKnowledge(_Vantage):
    """What a malicious server knows before a round, when it chooses its move.

    `model` is the honest global model, in training mode; `cohort` the clients drawn for
    the round, of `job.clients` in all.
    """

    round: int
    model: nn.Module
    cohort: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class SeenRound:
    """One round: the global state before it and the updates by client (released form)."""

    round: int
    state: Update
    updates: Mapping[int, Update]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class HistoryView(_Vantage):
    """Several rounds of every client's updates; the question is about `client` (-1: which one)."""

    client: int
    model: nn.Module
    rounds: tuple[SeenRound, ...]


@dataclass(frozen=True, slots=True, eq=False)
class SeenAggregate:
    """One round's sum: the state before it, the mean update, who took part (empty: unknown)."""

    round: int
    state: Update
    aggregate: Update
    cohort: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class AggregateHistoryView(_Vantage):
    """Several rounds of the mean update; the question is about `client` (-1: all of them)."""

    model: nn.Module
    rounds: tuple[SeenAggregate, ...]
    client: int = -1


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class GlobalModelsView(_Vantage):
    """The global model at the start of several rounds, as any participant receives it."""

    model: nn.Module
    rounds: tuple[tuple[int, Update], ...]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ModelView(_Vantage):
    """The final model with its weights, in evaluation mode."""

    model: nn.Module


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class OutputsView(_Vantage):
    """The final model's answers to the candidates, `[n, classes]`, and no model.

    Of candidate clients it answers all records; of partial records it answers each with each
    value in turn, `[n * k, classes]`.
    """

    outputs: Tensor


View = (
    UpdateView
    | AggregateView
    | HistoryView
    | AggregateHistoryView
    | GlobalModelsView
    | ModelView
    | OutputsView
)

VIEW_KINDS: dict[str, type[View]] = {
    "update": UpdateView,
    "aggregate": AggregateView,
    "history": HistoryView,
    "aggregate-history": AggregateHistoryView,
    "global-models": GlobalModelsView,
    "model": ModelView,
    "outputs": OutputsView,
}
