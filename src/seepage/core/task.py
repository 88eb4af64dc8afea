"""A Task: model factory, loss, data split over clients, and how clients train."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .columns import TableColumn
from .errors import UsageError, require_least
from .views import JobFacts

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from .views import Loss


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """How the job trains.

    Fields
    ------
    rounds : number of rounds, >= 1
    batch_size : records a local step, >= 1 (0: all that the client holds)
    local_steps : gradient steps a client takes a round; 1 is FedSGD
    lr : learning rate of the local steps, > 0
    cohort : clients sampled a round without replacement (0: all)
    patience : stop once the mean loss on the clients' validation records has not been below
        its least for so many rounds (0: train all rounds); the model is then the last one
    validation : share in (0, 1) of each client's records that only decide when to stop

    What clients report to stop early, a loss a round, is a function of their validation
    records, which no defense covers: they are neither trained on nor asked about.
    """

    rounds: int = 10
    batch_size: int = 8
    local_steps: int = 1
    lr: float = 0.1
    cohort: int = 0
    patience: int = 0
    validation: float = 0.1

    def __post_init__(self) -> None:
        require_least("training", self, rounds=1, batch_size=0, local_steps=1, cohort=0, patience=0)
        if not self.lr > 0:
            raise UsageError(f"training: lr is {self.lr}; use a number above 0")
        if not 0 < self.validation < 1:
            raise UsageError(f"training: validation is {self.validation}; use a share in (0, 1)")

    def stopped(self, rounds: int) -> Training:
        """Return the training as it was, where it stopped after `rounds`."""
        return replace(self, rounds=rounds, patience=0)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Records:
    """Rows of a dataset: inputs `[n, *shape]` float, targets `[n]`, rows `[n]` in the source."""

    inputs: Tensor
    targets: Tensor
    rows: Tensor

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def joined(cls, parts: Iterable[Records]) -> Records:
        """Return the records of one or more sets, one after the other."""
        import torch

        parts = list(parts)
        return cls(
            inputs=torch.cat([part.inputs for part in parts]),
            targets=torch.cat([part.targets for part in parts]),
            rows=torch.cat([part.rows for part in parts]),
        )

    def take(self, index: Tensor) -> Records:
        """Return the records at `index` (int64 `[k]`), in that order."""
        return Records(
            inputs=self.inputs[index], targets=self.targets[index], rows=self.rows[index]
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ClientData:
    """One client's records: those it trains on, and those it holds out.

    `holdout` comes from the same client (so the same distribution) and is never trained
    on: the non-members of membership tests, and the test set. `validation` decides when
    training stops (None: it never does early), and is neither.
    """

    name: str
    train: Records
    holdout: Records
    validation: Records | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Task:
    """A federated job before it is run.

    `build` makes a freshly initialized model from a generator; `loss(outputs, targets)`
    is a mean over the batch; `auxiliary` holds records of the same population that no
    client holds (the attacker's, and those of null jobs). `classes` is 0 for regression;
    `columns` says which features of a table's records were which column.
    """

    name: str
    build: Callable[[torch.Generator], nn.Module]
    loss: Loss
    clients: tuple[ClientData, ...]
    auxiliary: Records
    training: Training
    classes: int
    value_range: tuple[float, float] | None = None
    columns: tuple[TableColumn, ...] = ()

    @property
    def cohort(self) -> int:
        """Number of clients a round."""
        return min(self.training.cohort or len(self.clients), len(self.clients))

    def job_facts(self) -> JobFacts:
        """Return what every participant knows of the job."""
        return JobFacts(
            input_shape=tuple(self.clients[0].train.inputs.shape[1:]),
            classes=self.classes,
            value_range=self.value_range,
            clients=len(self.clients),
            cohort=self.cohort,
            local_steps=self.training.local_steps,
            lr=self.training.lr,
            columns=self.columns,
        )
