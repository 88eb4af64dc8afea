"""Stops training once the clients' validation records say that it no longer helps.

Prechelt, Early Stopping - But When? (1998), with a patience: training ends when the loss has
not been below its least for so many rounds.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING

import torch

from ..core.errors import DataError
from .predict import predict
from .state import load_state

if TYPE_CHECKING:
    from torch import nn

    from ..core.task import Task
    from ..core.views import Update


class EarlyStopping:
    """Watches the loss of the global model on all clients' validation records.

    It counts the `rounds` that were run. A task with patience whose clients set no records
    aside raises `DataError`; one without patience is never done early.
    """

    def __init__(self, task: Task, model: nn.Module) -> None:
        self._task, self._patience = task, task.training.patience
        self.rounds = self._waited = 0
        self._least = inf
        if not self._patience:
            return
        kept = [c.validation for c in task.clients if c.validation is not None]
        if not sum(map(len, kept)):
            raise DataError(
                f"{task.name}: patience is {self._patience}, and no client has records to "
                "validate on; give more data, a greater training.validation, or patience = 0"
            )
        self._inputs = torch.cat([r.inputs for r in kept])
        self._targets = torch.cat([r.targets for r in kept])
        self._model = deepcopy(model).eval()

    @property
    def task(self) -> Task:
        """Return the task as it was run: of so many rounds, whatever ended it."""
        if not self._patience:
            return self._task
        return replace(self._task, training=self._task.training.stopped(self.rounds))

    def done(self, state: Update) -> bool:
        """Return whether training ends after the round that led to `state`."""
        self.rounds += 1
        if not self._patience:
            return False
        load_state(self._model, state)
        with torch.no_grad():
            loss = float(self._task.loss(predict(self._model, self._inputs), self._targets))
        # A loss that is no number is not below the least.
        self._waited = 0 if loss < self._least else self._waited + 1
        self._least = min(loss, self._least)
        return self._waited >= self._patience
