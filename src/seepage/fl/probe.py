"""Tries a model on one record before the first round: whether it fits, and how to run it."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ..core.errors import DataError, ModelError
from .batched import BatchedTrainer
from .state import shared_state

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..core.task import Task


@dataclass(frozen=True, kw_only=True, slots=True)
class Traits:
    """`stochastic`: the forward pass draws random numbers; `batchable`: vmap can run it."""

    stochastic: bool
    batchable: bool


def traits(task: Task, model: nn.Module) -> Traits:
    """Run one record twice over through a copy of the model, in training mode.

    Raises `DataError` where a client has nothing to train on and `ModelError` where the
    model or the loss does not take the task's records.
    """
    for client in task.clients:
        if not len(client.train):
            raise DataError(
                f"client {client.name!r} holds no training records: give it some, or fewer clients"
            )
    first = task.clients[0].train
    # Two equal records: BatchNorm has no statistics of a single one.
    inputs, targets = first.inputs[[0, 0]], first.targets[[0, 0]]
    copy = deepcopy(model).train()
    with torch.random.fork_rng(devices=[]):
        before = torch.get_rng_state()
        try:
            loss = task.loss(copy(inputs), targets)
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            raise ModelError(
                f"{type(model).__name__} and its loss do not take records of shape "
                f"{list(inputs.shape[1:])} with {targets.dtype} targets: {first_line(error)}"
            ) from error
        stochastic = not torch.equal(before, torch.get_rng_state())
    if loss.ndim:
        raise ModelError(
            f"the loss returns shape {list(loss.shape)}: it must be one number, the batch's mean"
        )
    plain = not stochastic and not any(True for _ in copy.buffers())
    return Traits(stochastic=stochastic, batchable=plain and _vmaps(task, copy, inputs, targets))


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its type where it has none."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def _vmaps(task: Task, model: nn.Module, inputs: Tensor, targets: Tensor) -> bool:
    """Return whether `torch.func` can run the model: code that branches on data can't be."""
    try:
        BatchedTrainer(task, model).run(
            shared_state(model), [(inputs[:, None], targets[:, None])] * 2
        )
    except Exception:  # any reason will do: such a model is run one by one
        return False
    return True
