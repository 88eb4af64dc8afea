"""What a white box shows of a record: the answer, the gradient, the activations.

Federations that start from other seeds order their hidden units in another way, so single
coordinates of gradients and activations mean nothing from one to the next. What is kept of them
does not depend on the order: norms, shares and maxima.
"""

from __future__ import annotations

from copy import deepcopy
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ..record_gradients import record_gradients
from .candidate_losses import CHUNK, outputs_of
from .confidence import confidence, log_probabilities

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...core.views import AuxiliaryData, Loss, Update

TOP = 3
_TINY = 1e-12


def white_box_features(
    model: nn.Module, loss: Loss, records: AuxiliaryData, classes: int, states: Sequence[Update]
) -> Tensor:
    """Return what the model shows of `records` at each of `states`, `[n, d]`, in doubles.

    At each: the logit of the record's class, the largest log-probabilities and the entropy; the
    log-norm of the gradient of each parameter; and norm, maximum and share above 0 of what goes
    into the last linear layer, if there is one. From one state to the next: the cosine of the
    negative gradient with what changed. No states: the model as it stands, alone.
    """
    own = {name: value.detach() for name, value in model.named_parameters()}
    shown = list(states) or [own]
    changes: list[Update | None] = [
        {n: later[n] - now[n] for n in later} for now, later in pairwise(shown)
    ]
    found: list[Tensor] = []
    for state, change in zip(shown, [*changes, None], strict=True):
        found += [
            _of_answers(outputs_of(model, records.inputs, state), records, classes),
            _of_gradients(model, loss, records, state, change),
            _of_activations(model, records.inputs, state),
        ]
    return torch.cat(found, dim=1)


def _of_answers(outputs: Tensor, records: AuxiliaryData, classes: int) -> Tensor:
    own = confidence(outputs, records.targets, classes)[:, None]
    if not classes:
        return own
    logs = log_probabilities(outputs, records.targets).log_softmax(1)
    entropy = -(logs.exp() * logs).sum(1, keepdim=True)
    return torch.cat([own, logs.topk(min(TOP, classes), dim=1).values, entropy], dim=1)


def _of_gradients(
    model: nn.Module, loss: Loss, records: AuxiliaryData, state: Update, change: Update | None
) -> Tensor:
    names = [n for n, p in model.named_parameters() if p.requires_grad and n in state]
    parts: list[Tensor] = []
    for gradients in record_gradients(
        model, loss, records.inputs, records.targets, names=names, state=state
    ):
        flat = [gradients[name].flatten(1).double() for name in names]
        norms = torch.stack([g.norm(dim=1) for g in flat], dim=1)
        columns = [norms.clamp_min(_TINY).log()]
        if change is not None:
            pull = [change[name].flatten().double() for name in names]
            dots = torch.stack([g @ p for g, p in zip(flat, pull, strict=True)]).sum(0)
            lengths = norms.norm(dim=1) * torch.cat(pull).norm()
            columns.append(-(dots / lengths.clamp_min(_TINY))[:, None])
        parts.append(torch.cat(columns, dim=1))
    return torch.cat(parts)


def _of_activations(model: nn.Module, inputs: Tensor, state: Update) -> Tensor:
    """Return three figures of what goes into the last linear layer, `[n, 3]` or `[n, 0]`."""
    trial = deepcopy(model).eval()
    layers = [module for module in trial.modules() if type(module) is nn.Linear]
    if not layers:
        return torch.zeros(len(inputs), 0, dtype=torch.float64)
    seen: list[Tensor] = []

    def keep(_: nn.Module, given: tuple[Any, ...]) -> None:
        """Keep what the layer is given."""
        seen.append(given[0].detach().flatten(1).double())

    layers[-1].register_forward_pre_hook(keep)
    with torch.no_grad():
        for part in inputs.split(CHUNK):
            functional_call(trial, dict(state), (part,))
    hidden = torch.cat(seen)
    figures = [hidden.norm(dim=1), hidden.abs().amax(1), (hidden > 0).double().mean(1)]
    return torch.stack(figures, dim=1)
