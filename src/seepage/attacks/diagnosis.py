"""Why an inversion comes out poor: what can be read off the view, in plain sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]

from ..core.errors import NotApplicableError
from ..core.views import AggregateView, Labels, UpdateView
from .attribute.labels import recover_labels
from .inversion.observed import observed_gradient, observed_records

if TYPE_CHECKING:
    from torch import Tensor

    from ..core.views import Update, View

_SMALL_GRADIENT = 1e-4
_MANY_ZEROS = 0.5
_FEW_EQUATIONS = 4.0


def diagnosis(view: View, records: int) -> list[str]:
    """Return sentences on what hinders the inversion of an update; none for other views.

    `records` is how many the attack tried to find, where the batch size is not known.
    """
    if not isinstance(view, UpdateView | AggregateView):
        return []
    try:
        gradient = observed_gradient(view)
    except NotApplicableError as error:
        return [str(error)]
    count = observed_records(view) or records
    return [
        text
        for text in (
            _size(gradient, view),
            _saturation(gradient),
            _ratio(gradient, view, count),
            _steps(view),
            _batch_norm(view, count),
            _labels(view, count),
        )
        if text
    ]


def _size(gradient: Update, view: UpdateView | AggregateView) -> str:
    norm = torch.stack([g.norm() for g in gradient.values()]).norm()
    weights = torch.stack([p.detach().norm() for p in view.model.parameters()]).norm()
    if float(norm) >= _SMALL_GRADIENT * float(weights):
        return ""
    return (
        f"The gradient's norm is {float(norm):.1e}, {float(norm / weights):.0e} of the weights': "
        "the model has learned these records well (or the loss is saturated), so that rounding "
        "hides much of what they leave"
    )


def _saturation(gradient: Update) -> str:
    """Say where most of a weight's gradient is zero: dead units, or sparsification."""
    weights = {n: g for n, g in gradient.items() if g.ndim > 1}
    zeros = {n: float((g == 0).double().mean()) for n, g in weights.items()}
    if not zeros or max(zeros.values()) < _MANY_ZEROS:
        return ""
    name = max(zeros, key=lambda n: zeros[n])
    return (
        f"{zeros[name]:.0%} of the gradient of {name} is zero: units that the batch does not turn "
        "on, or coordinates that were not sent, say nothing of it"
    )


def _ratio(gradient: Update, view: UpdateView | AggregateView, count: int) -> str:
    """Hold the numbers that are known against those that are asked for."""
    known = sum(int((g != 0).sum()) for g in gradient.values())
    unknown = count * max(1, torch.Size(view.job.input_shape).numel())
    ratio = known / max(unknown, 1)
    if ratio >= _FEW_EQUATIONS:
        return ""
    return (
        f"{known:,} numbers are known (nonzero coordinates) and {unknown:,} asked for "
        f"({ratio:.1f} to 1): a smaller batch, or a wider model, has more to tell"
    )


def _steps(view: UpdateView | AggregateView) -> str:
    if view.job.local_steps == 1:
        return ""
    return (
        f"The update is of {view.job.local_steps} local steps: its mean is no gradient at any one "
        "point; `sme` and `unrolled-fedavg` allow for that"
    )


def _batch_norm(view: UpdateView | AggregateView, count: int) -> str:
    layers = [m for m in view.model.modules() if isinstance(m, _BatchNorm)]
    if not layers or count < 2:
        return ""
    if layers[0].training:
        return (
            "BatchNorm is in training mode: the records of the batch mix in its statistics; where "
            "these travel with the update, `grad-inversion` uses them"
        )
    return "BatchNorm is in evaluation mode here: check that the client's model was too"


def _labels(view: UpdateView | AggregateView, count: int) -> str:
    if view.fact(Labels) is not None or not view.job.classes or not count:
        return ""
    try:
        labels: Tensor = recover_labels(view, count)
    except NotApplicableError as error:
        return f"The labels are not known: {error}"
    repeated = count - len(labels.unique())
    if count == 1 or not (view.defenses or repeated or view.job.local_steps > 1):
        return ""
    return (
        f"The labels were estimated ({repeated} of {count} share a class with another): a wrong "
        "one spoils its record; give labels= if they are known"
    )
