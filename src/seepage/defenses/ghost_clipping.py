"""The clipped sum of per-record gradients by opacus's ghost clipping, for larger batches.

Two backward passes: the first yields each record's gradient norm, for linear layers without
its gradient (Li et al. 2021, arXiv 2110.05679), the second the weighted sum.
"""

from __future__ import annotations

import warnings
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from torch import nn

from ..core.defense import LocalStep
from ..core.errors import RefusedError
from .per_record import (
    clipping_scale,
    norms,
    per_record_gradients,
    per_record_losses,
    require_mean_loss,
    trainable,
)

if TYPE_CHECKING:
    from torch import Tensor

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


def trusts(step: LocalStep) -> bool:
    """Return whether ghost clipping sees all of this model's gradients, record by record.

    Its hooks miss parameters that are used outside their layer, and take records that mix
    in the forward pass for independent. So norms of a probe are compared with those of
    records that ran alone, once a model.
    """
    if not all(m.training for m in _trained_layers(step.model)):
        return False  # the hooks are idle outside training mode
    if step.model not in _TRUSTED:
        _TRUSTED[step.model] = _known_layers(step.model) and _agrees(step)
    return _TRUSTED[step.model]


def clipped_sum(step: LocalStep, max_norm: float) -> dict[str, Tensor]:
    """Return by parameter the sum of the records' gradients, each clipped to `max_norm`."""
    parameters = trainable(step.model)
    with _hooked(step.model) as hooks:
        lengths, losses, outputs = _lengths(step, hooks)
        require_mean_loss(step.loss, outputs, step.targets, losses)
        scale = clipping_scale(lengths, max_norm)
        hooks.disable_hooks()
        total = torch.autograd.grad((scale * losses).sum(), list(parameters.values()))
    return dict(zip(parameters, total, strict=True))


def _lengths(step: LocalStep, hooks: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Return gradient norms and losses `[batch]`, and outputs; the graph is kept."""
    outputs: Tensor = hooks(step.inputs)
    losses = per_record_losses(step.loss, outputs, step.targets)
    parameters = list(trainable(step.model).values())
    torch.autograd.grad(losses.sum(), parameters, retain_graph=True)
    lengths: Tensor = hooks.get_norm_sample().detach()
    if lengths.shape != losses.shape:
        raise RefusedError(
            f"dp-sgd: {tuple(lengths.shape)} gradient norms for {len(losses)} records"
        )
    return lengths, losses, outputs


@contextmanager
def _hooked(model: nn.Module) -> Generator[Any]:
    """Wrap `model` with opacus's hooks, and take every trace of them off again.

    The traces hold the clients' activations, so they may not outlive the step.
    """
    from opacus.grad_sample import GradSampleModuleFastGradientClipping

    with warnings.catch_warnings():
        # The inputs need no gradient, and torch says that the first layer's hook notices.
        warnings.filterwarnings("ignore", message="Full backward hook is firing")
        hooks = GradSampleModuleFastGradientClipping(model, loss_reduction="sum")
        try:
            yield hooks
        finally:
            hooks.to_standard_module()
            for layer in model.modules():
                for trace in ("activations", "max_batch_len"):
                    if hasattr(layer, trace):
                        delattr(layer, trace)


def _trained_layers(model: nn.Module) -> list[nn.Module]:
    return [m for m in model.modules() if any(p.requires_grad for p in m.parameters(False))]


def _known_layers(model: nn.Module) -> bool:
    """Return whether opacus has a rule for every layer, and no two share a parameter."""
    from opacus.grad_sample import GradSampleModuleFastGradientClipping as Hooks

    layers = _trained_layers(model)
    held = [p for layer in layers for p in layer.parameters(False)]
    ruled = Hooks.GRAD_SAMPLERS.keys() | Hooks.NORM_SAMPLERS.keys()
    return all(type(layer) in ruled for layer in layers) and len({*map(id, held)}) == len(held)


def _agrees(step: LocalStep) -> bool:
    """Return whether hooks and single records give the same norms on a few records."""
    probe = LocalStep(
        model=step.model,
        loss=step.loss,
        inputs=step.inputs[:_PROBE],
        targets=step.targets[:_PROBE],
        expected_batch=_PROBE,
    )
    with _without_dropout(step.model):
        try:
            with _hooked(step.model) as hooks:
                lengths = _lengths(probe, hooks)[0]
        except (RuntimeError, NotImplementedError, AttributeError, KeyError, ValueError):
            return False
        alone = norms(per_record_gradients(probe))
    return bool(alone.max() > 0 and torch.allclose(lengths, alone, rtol=1e-3, atol=1e-7))


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
