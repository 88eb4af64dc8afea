"""Gradient suppression: a model that trains, and whose gradient is zero.

With y = act(W x + b) in front of the last layer, W = 0 and b very negative give y = 0 and
act'(W x + b) = 0 for ReLU and its kin. Then the last layer's weight gets no gradient (its
inputs are 0) and no layer below does; the last bias alone gets its mean of p - e_y
(Pasquini, Francati & Ateniese 2022, arXiv 2111.07380, section 4). An activation that is
0 at 0 and does not die, such as tanh, gets b = 0, and a last weight of 0 that passes
nothing back. What is silent is measured, not assumed.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ....core.errors import NotApplicableError
from ....core.views import AuxiliaryData
from ...layers import as_trained, layer_runs
from ...stand_ins import noise_records

if TYPE_CHECKING:
    from ....core.views import AggregateView, ServerKnowledge

_PROBES = 8
_FAR_BELOW = -1e4


def suppressed(view: ServerKnowledge) -> nn.Module:
    """Return a copy of the honest model in which as few parameters as possible get a gradient.

    Raises `NotApplicableError` where every parameter still gets one.
    """
    inputs, _ = _probe(view)
    names = [run.name for run in layer_runs(view.model, inputs)[0]]
    if not names:
        raise NotApplicableError("the model has no layer with parameters")
    head = names[-1]
    sizes = {name: p.numel() for name, p in view.model.named_parameters()}
    best, least = view.model, sum(sizes.values())
    for cut in (False, True):
        for name in reversed(names[:-1]):
            for bias in (_FAR_BELOW, 0.0):
                trial = _with_dead_layer(view.model, name, bias, head if cut else None)
                audible = sizes.keys() - silent_parameters(trial, view)
                if (count := sum(sizes[n] for n in audible)) < least:
                    best, least = trial, count
                if audible <= {f"{head}.bias" if head else "bias"}:
                    return trial
    if best is view.model:
        raise NotApplicableError("no layer of this model can be made to pass no gradient")
    return best


def silent_parameters(model: nn.Module, view: AggregateView | ServerKnowledge) -> frozenset[str]:
    """Return the parameters of `model` whose gradient is exactly 0 on each of a few records."""
    probe = as_trained(deepcopy(model).train(view.model.training))
    parameters = dict(probe.named_parameters())
    for parameter in parameters.values():
        parameter.requires_grad_(True)
    inputs, targets = _probe(view)
    with torch.enable_grad():
        value: Tensor = view.loss(probe(inputs), targets)
    slopes: tuple[Any, ...] = torch.autograd.grad(
        value, list(parameters.values()), allow_unused=True
    )
    return frozenset(
        name
        for name, slope in zip(parameters, slopes, strict=True)
        if slope is None or not bool(slope.any())
    )


def _with_dead_layer(model: nn.Module, layer: str, bias: float, head: str | None) -> nn.Module:
    """Return a copy whose `layer` puts out `bias`, and whose `head` (if named) weighs nothing."""
    dead = deepcopy(model)
    with torch.no_grad():
        for name, parameter in dead.get_submodule(layer).named_parameters(recurse=False):
            parameter.fill_(bias if name == "bias" else 0.0)
        if head is not None:
            for name, parameter in dead.get_submodule(head).named_parameters(recurse=False):
                if name != "bias":
                    parameter.zero_()
    return dead


def _probe(view: AggregateView | ServerKnowledge) -> tuple[Tensor, Tensor]:
    """Return a few records to run: auxiliary ones, or noise that is the same at each call."""
    known, classes = view.fact(AuxiliaryData), view.job.classes
    if known is not None and len(known.targets) >= _PROBES:
        return known.inputs[:_PROBES], known.targets[:_PROBES]
    rng = torch.Generator().manual_seed(0)
    noise = noise_records(view, _PROBES, rng)
    if not classes:
        return noise, torch.randn(_PROBES, generator=rng).to(noise.dtype)
    return noise, torch.randint(classes, (_PROBES,), generator=rng)
