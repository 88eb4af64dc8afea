"""The clipped sum of per-record gradients by ghost clipping, for all but the smallest batches.

Each layer's input and the gradient at its output give every record's gradient norm, for linear
layers without the gradient itself (Li et al. 2021, arXiv 2110.05679); opacus has the rules. A
second backward pass then yields the sum of the losses' gradients with their clipping weights.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from torch import nn

from ....core.errors import RefusedError
from .per_record import (
    Clipped,
    norms,
    per_record_gradients,
    per_record_losses,
    require_mean_loss,
    trainable,
)
from .record_groups import clipping_scale

if TYPE_CHECKING:
    from torch import Tensor

    from ....core.defense import LocalStep
    from .record_groups import Groups

_PROBE = 4
_DROPOUTS = (
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.AlphaDropout,
    nn.FeatureAlphaDropout,
)
_TRUSTED: WeakKeyDictionary[nn.Module, bool] = WeakKeyDictionary()

Call = tuple[nn.Module, "Tensor", "Tensor", int]
"""A layer, its input and its output in one forward pass, and the output's version then."""


def trusts(step: LocalStep) -> bool:
    """Return whether ghost clipping sees all of this model's gradients, record by record.

    It misses parameters that are used outside their layer, and takes records that mix in the
    forward pass for independent. So norms of a probe are compared with those of records that
    ran alone, once a model; a batch too small to show how records mix is not judged by.
    """
    if not all(m.training for m in _trained_layers(step.model)):
        return False  # the rules are probed and meant for training mode
    if step.model not in _TRUSTED:
        if len(step.inputs) < _PROBE:
            return False
        _TRUSTED[step.model] = _known_layers(step.model) and _agrees(step)
    return _TRUSTED[step.model]


def clipped(step: LocalStep, groups: Groups) -> Clipped:
    """Return the sum of the records' gradients, each clipped in every group to its norm."""
    parameters = trainable(step.model)
    by_name, losses, outputs = _lengths(step)
    require_mean_loss(step.loss, outputs, step.targets, losses)
    lengths = torch.stack(
        [torch.stack([by_name[name] for name in names]).norm(dim=0) for names in groups]
    )
    total: dict[str, Tensor] = {}
    for number, ((names, max_norm), length) in enumerate(
        zip(groups.items(), lengths, strict=True), 1
    ):
        weighted = (clipping_scale(length, max_norm) * losses).sum()
        own = [parameters[name] for name in names]
        parts = torch.autograd.grad(weighted, own, retain_graph=number < len(groups))
        total |= zip(names, parts, strict=True)
    return Clipped({name: total[name] for name in parameters}, lengths)


def _lengths(step: LocalStep) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Return gradient norms `[batch]` by parameter, losses `[batch]` and outputs.

    The graph from the parameters to the losses is kept.
    """
    with _watched(step.model) as calls:
        outputs: Tensor = step.model(step.inputs)
    losses = per_record_losses(step.loss, outputs, step.targets)
    ends = [end for _, _, end, _ in calls]
    at_ends = torch.autograd.grad(
        losses.sum(), ends, retain_graph=True, allow_unused=True, materialize_grads=True
    )
    if any(end._version != version for _, _, end, version in calls):
        raise RefusedError("clipping by record: a layer's output is changed in place")
    layers: dict[nn.Module, list[tuple[Tensor, Tensor]]] = {}
    for (layer, start, _, _), back in zip(calls, at_ends, strict=True):
        layers.setdefault(layer, []).append((start, back))
    with torch.no_grad():
        found = {p: n for layer, seen in layers.items() for p, n in _of_layer(layer, seen).items()}
    parameters = trainable(step.model)
    lengths = {name: found[p] for name, p in parameters.items() if p in found}
    shapes = {tuple(length.shape) for length in lengths.values()}
    if shapes != {tuple(losses.shape)} or lengths.keys() != parameters.keys():
        raise RefusedError(
            f"clipping by record: gradient norms of shapes {sorted(shapes)} for {len(losses)} "
            f"records and {len(lengths)} of {len(parameters)} parameters"
        )
    return lengths, losses, outputs


def _of_layer(layer: nn.Module, seen: list[tuple[Tensor, Tensor]]) -> dict[nn.Parameter, Tensor]:
    """Return the norms `[batch]` of a layer's gradients, from inputs and gradients at outputs."""
    from opacus.grad_sample import GradSampleModuleFastGradientClipping as Rules

    if len(seen) == 1 and type(layer) in Rules.NORM_SAMPLERS:
        start, back = seen[0]
        return Rules.NORM_SAMPLERS[type(layer)](layer, [start], back)
    gradients: dict[nn.Parameter, Tensor] = {}
    for start, back in seen:
        for parameter, one in Rules.GRAD_SAMPLERS[type(layer)](layer, [start], back).items():
            gradients[parameter] = gradients[parameter] + one if parameter in gradients else one
    return {
        parameter: one.reshape(len(one), -1).norm(dim=1) for parameter, one in gradients.items()
    }


@contextmanager
def _watched(model: nn.Module) -> Generator[list[Call]]:
    """Yield a list that fills with the calls of trained layers, until the context ends.

    No trace of them stays on the model: they hold the clients' activations.
    """
    calls: list[Call] = []

    def see(layer: nn.Module, given: tuple[Any, ...], output: Any) -> None:
        """Note one call."""
        calls.append((layer, given[0].detach(), output, output._version))

    handles = [layer.register_forward_hook(see) for layer in _trained_layers(model)]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def _trained_layers(model: nn.Module) -> list[nn.Module]:
    return [m for m in model.modules() if any(p.requires_grad for p in m.parameters(False))]


def _known_layers(model: nn.Module) -> bool:
    """Return whether opacus has a rule for every layer, and no two share a parameter."""
    from opacus.grad_sample import GradSampleModuleFastGradientClipping as Rules

    layers = _trained_layers(model)
    held = [p for layer in layers for p in layer.parameters(False)]
    return all(type(layer) in Rules.GRAD_SAMPLERS for layer in layers) and (
        len({*map(id, held)}) == len(held)
    )


def _agrees(step: LocalStep) -> bool:
    """Return whether rules and single records give the same norms on a few records."""
    probe = replace(step, inputs=step.inputs[:_PROBE], targets=step.targets[:_PROBE])
    with _without_dropout(step.model):
        alone = {n: norms({n: g}) for n, g in per_record_gradients(probe).items()}
        try:
            lengths = _lengths(probe)[0]
        except (RuntimeError, NotImplementedError, AttributeError, KeyError, ValueError):
            return False
        except (RefusedError, IndexError, TypeError):
            return False
    return all(
        torch.allclose(lengths[name], length, rtol=1e-3, atol=1e-7)
        for name, length in alone.items()
    ) and any(bool(length.max() > 0) for length in alone.values())


@contextmanager
def _without_dropout(model: nn.Module) -> Generator[None]:
    """Make dropout layers idle, and leave torch's global generator as it was."""
    layers = [m for m in model.modules() if isinstance(m, _DROPOUTS)]
    active = [m for m in layers if m.training]
    with torch.random.fork_rng(devices=[]):
        for layer in active:
            layer.training = False
        try:
            yield
        finally:
            for layer in active:
                layer.training = True
