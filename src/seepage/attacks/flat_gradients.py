"""Gradients of single records, and of updates, as vectors over the parameters of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ..core.errors import NotApplicableError
from .record_gradients import record_gradients

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from ..core.views import JobFacts, Loss, Update

# Spreads below this share of the mean one are no unit to measure by.
_LEAST_SPREAD = 1e-3


def sent_parameters(model: nn.Module, update: Update) -> list[str]:
    """Return the trainable parameters that an update holds; `NotApplicableError` for none."""
    names = [n for n, p in model.named_parameters() if p.requires_grad and n in update]
    if not names:
        raise NotApplicableError("the update holds no parameter of the model")
    return names


def flat_update(update: Update, names: Sequence[str], job: JobFacts) -> Tensor:
    """Return the mean gradient over the local steps that an update stands for, `[p]`.

    Raises `NotApplicableError` where it is not finite.
    """
    steps = -job.lr * job.local_steps
    found = torch.cat([update[name].detach().flatten() for name in names]) / steps
    if not bool(found.isfinite().all()):
        raise NotApplicableError("the update is not finite")
    return found


def flat_gradients(
    model: nn.Module,
    loss: Loss,
    inputs: Tensor,
    targets: Tensor,
    *,
    names: Sequence[str],
    state: Update,
    kept: Tensor | None = None,
) -> Tensor:
    """Return each record's gradient at `state` over the parameters `names`, `[n, p]`.

    `kept` names the coordinates to return (None: all).
    """
    parts: list[Tensor] = []
    for found in record_gradients(model, loss, inputs, targets, names=names, state=state):
        flat = torch.cat([found[name].flatten(1) for name in names], 1)
        parts.append(flat if kept is None else flat[:, kept])
    return torch.cat(parts)


def spreads(gradients: Tensor) -> Tensor:
    """Return the deviation of each coordinate over gradients `[n, p]`, never near 0, `[p]`."""
    spread = gradients.std(0) if len(gradients) > 1 else gradients[0].abs()
    return spread.clamp_min(max(_LEAST_SPREAD * float(spread.mean()), 1e-30))
