"""The loss of each candidate under a model: what most membership attacks look at."""

from __future__ import annotations

from copy import copy, deepcopy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from ...core.errors import NotApplicableError
from ...core.views import Candidates

if TYPE_CHECKING:
    from ...core.views import Loss, SeenRound, Update, View

CHUNK = 512
"""Candidates that run through a model at once."""


def known_candidates(view: View) -> Candidates:
    """Return the records in question; `NotApplicableError` where the view names none."""
    candidates = view.fact(Candidates)
    if candidates is None or not len(candidates.targets):
        raise NotApplicableError("the view names no candidates whose membership is in question")
    return candidates


def candidate_losses(
    model: nn.Module, loss: Loss, candidates: Candidates, state: Update | None = None
) -> Tensor:
    """Return the loss of each candidate in evaluation mode, `[n]`.

    `state` replaces the tensors of `model` that it names; the model itself is left as it
    is. Raises `NotApplicableError` where the loss does not work on single records.
    """
    outputs = outputs_of(model, candidates.inputs, state)
    with torch.no_grad():
        return per_record_losses(loss, outputs, candidates.targets)


def local_losses(
    model: nn.Module, loss: Loss, candidates: Candidates, seen: SeenRound
) -> tuple[list[int], Tensor]:
    """Return a round's clients, and each candidate's loss under their local models, `[n, k]`."""
    clients = sorted(seen.updates)
    losses = [
        candidate_losses(
            model,
            loss,
            candidates,
            {n: v + seen.updates[c].get(n, 0) for n, v in seen.state.items()},
        ).double()
        for c in clients
    ]
    return clients, torch.stack(losses, dim=1)


def outputs_of(model: nn.Module, inputs: Tensor, state: Update | None = None) -> Tensor:
    """Return the model's outputs for records `[n, *shape]` in evaluation mode.

    `state` replaces the tensors of `model` that it names; the model itself is left as it is.
    """
    trial = deepcopy(model).eval()
    with torch.no_grad():
        parts: list[Any] = [
            functional_call(trial, dict(state or {}), (part,)) for part in inputs.split(CHUNK)
        ]
    return torch.cat(parts)


def per_record_losses(loss: Loss, outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the loss of each record on its own, `[n]`, where `loss` is a mean over them.

    A loss module of torch says by its `reduction` how to leave the mean out; any other loss
    is mapped over batches of one. Raises `NotApplicableError` where that gives no scalars.

    >>> halves = torch.tensor([[0.5], [1.0]])
    >>> per_record_losses(nn.MSELoss(), halves, torch.zeros(2, 1))
    tensor([0.2500, 1.0000])
    """
    if isinstance(loss, nn.Module) and getattr(loss, "reduction", "") == "mean":
        unreduced: Any = copy(loss)
        unreduced.reduction = "none"
        losses: Tensor = unreduced(outputs, targets)
        if losses.shape == (len(targets),):
            return losses

    def alone(output: Tensor, target: Tensor) -> Tensor:
        """Return the loss of one record."""
        return loss(output[None], target[None])

    try:
        mapped: Tensor = vmap(alone)(outputs, targets)
    except (RuntimeError, ValueError, IndexError) as error:
        raise NotApplicableError(
            f"the loss does not work on single records: {first_line(error)}"
        ) from error
    if mapped.shape != (len(targets),):
        raise NotApplicableError(
            f"the loss of a single record has shape {tuple(mapped.shape[1:])}, not that of a "
            "number: give a loss that is a mean over the batch"
        )
    return mapped


def first_line(error: Exception) -> str:
    """Return what an error says, on one line."""
    return (str(error).splitlines() or [type(error).__name__])[0]
