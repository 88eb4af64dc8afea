"""What an update says of the gradient behind it, and of how many records made it."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

from ...core.errors import NotApplicableError
from ...core.views import AggregateView, BatchSize, UpdateView

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ...core.views import AggregateHistoryView, HistoryView, Update


def model_at(view: HistoryView | AggregateHistoryView, state: Update) -> nn.Module:
    """Return a copy of the model as it stood when a round began."""
    model = deepcopy(view.model)
    model.load_state_dict(dict(state), strict=False)
    return model


def observed_gradient(view: UpdateView | AggregateView) -> dict[str, Tensor]:
    """Return the mean gradient by parameter name: -update / (lr * local_steps).

    Exact for one local step; for several it is their mean (a pseudo-gradient). Buffers
    are left out. Raises `NotApplicableError` where a value is not finite.
    """
    update = view.update if isinstance(view, UpdateView) else view.aggregate
    known = {name for name, _ in view.model.named_parameters()}
    return as_gradient(
        {name: value for name, value in update.items() if name in known},
        view.job.lr * view.job.local_steps,
    )


def as_gradient(update: Update, step: float) -> dict[str, Tensor]:
    """Return -update / step, refusing values that are not finite."""
    gradient = {name: value.detach() / -step for name, value in update.items()}
    for name, value in gradient.items():
        if not bool(value.isfinite().all()):
            raise NotApplicableError(f"the update holds values of {name} that are not finite")
    if not gradient:
        raise NotApplicableError("the update holds none of the model's parameters")
    return gradient


def observed_batch_size(view: UpdateView | AggregateView) -> int:
    """Return the records of one local step, over all contributors.

    Raises `NotApplicableError` where the observer does not know the batch size.
    """
    size = view.fact(BatchSize)
    if size is None:
        raise NotApplicableError("the batch size is not known to this observer")
    return size.value * contributors(view)


def observed_records(view: UpdateView | AggregateView) -> int:
    """Return the most records that an update can rest on: the batches of all local steps.

    0 where the observer does not know the batch size.
    """
    size = view.fact(BatchSize)
    return size.value * contributors(view) * view.job.local_steps if size else 0


def contributors(view: UpdateView | AggregateView) -> int:
    """Return how many clients' records stand behind an update: 1, or those in the aggregate."""
    return view.contributors - view.sybils if isinstance(view, AggregateView) else 1
