"""How confident a model is in the truth of a record, on a scale where it is nearly normal.

phi = log(p_y / (1 - p_y)) for the probability p_y of the record's class (Carlini et al. 2022,
"Membership Inference Attacks From First Principles", arXiv 2112.03570, section IV-C); the
negative squared error, in logarithms, for regression.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ...core.errors import NotApplicableError
from ...core.views import AuxiliaryData, GlobalModelsView, OutputsView
from .candidate_losses import known_candidates, outputs_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from ...core.views import ModelView, Simulated, Update

_LEAST_ERROR = 1e-12


def confidence(outputs: Tensor, targets: Tensor, classes: int) -> Tensor:
    """Return phi `[n]`, in doubles, of outputs that are logits or probabilities.

    Raises `NotApplicableError` where the outputs do not fit the targets.

    >>> confidence(torch.tensor([[0.2, 0.8]]), torch.tensor([1]), 2).exp()
    tensor([4.], dtype=torch.float64)
    """
    if not classes:
        return -squared_errors(outputs.double(), targets).clamp_min(_LEAST_ERROR).log()
    logs = log_probabilities(outputs, targets)
    index = targets.long()[:, None]
    own = logs.gather(1, index)[:, 0]
    return own - logs.scatter(1, index, -torch.inf).logsumexp(1)


def squared_errors(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the mean squared error of each prediction, `[n]`.

    Raises `NotApplicableError` where there are not as many outputs as targets.
    """
    if outputs.numel() != targets.numel():
        raise NotApplicableError(
            f"outputs of shape {tuple(outputs.shape)} are no predictions of {len(targets)} targets"
        )
    difference = outputs.reshape(len(targets), -1) - targets.reshape(len(targets), -1)
    return difference.square().mean(1)


def log_probabilities(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return outputs that are logits as they are and probabilities in logarithms, in doubles.

    Both are log-probabilities but for a constant a row, `[n, classes]`. Raises
    `NotApplicableError` where the outputs do not fit the targets.
    """
    outputs = outputs.double()
    if outputs.ndim != 2 or outputs.shape[1] < 2 or len(outputs) != len(targets):
        raise NotApplicableError(
            f"outputs of shape {tuple(outputs.shape)} hold no probability of each class for "
            f"{len(targets)} candidates"
        )
    sums = outputs.sum(1)
    if bool((outputs >= 0).all()) and torch.allclose(sums, torch.ones_like(sums), atol=1e-3):
        outputs = outputs.clamp_min(torch.finfo(torch.float32).tiny).log()
    return outputs


def confidence_seen(view: ModelView | OutputsView | GlobalModelsView) -> Tensor:
    """Return phi of the view's candidates, `[t, n]`: for each global model that is seen."""
    candidates = known_candidates(view)
    if isinstance(view, OutputsView):
        return confidence(view.outputs, candidates.targets, view.job.classes)[None]
    records = AuxiliaryData(candidates.inputs, candidates.targets)
    rounds = view.rounds if isinstance(view, GlobalModelsView) else ()
    return _at(view.model, [state for _, state in rounds], records, view.job.classes)


def confidence_of(federation: Simulated, records: AuxiliaryData, classes: int) -> Tensor:
    """Return phi of `records` in a simulated federation, `[t, n]`, by the states it was kept at."""
    return _at(federation.model, federation.states, records, classes)


def _at(model: nn.Module, states: Sequence[Update], records: AuxiliaryData, classes: int) -> Tensor:
    return torch.stack(
        [
            confidence(outputs_of(model, records.inputs, state), records.targets, classes)
            for state in states or [{}]
        ]
    )
