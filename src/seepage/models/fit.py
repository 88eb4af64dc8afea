"""Whether a model fits its data and its loss: found before training, in one line."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..core.errors import ModelError

if TYPE_CHECKING:
    from ..core.views import Loss


def check_fit(model: nn.Module, loss: Loss, inputs: Tensor, targets: Tensor) -> None:
    """Run two of the records `[n, *shape]` through a copy of `model`, in the mode it is in.

    One of them has the largest target, so that a missing output shows. Neither the model
    nor torch's global generator changes. Raises `ModelError` where the model does not take
    the inputs, its output does not fit the loss, the loss is no finite mean over the
    batch, or no parameter has a finite gradient.
    """
    largest = int(targets.argmax())
    index = torch.tensor([0 if largest else len(targets) - 1, largest])
    inputs, targets = inputs[index], targets[index]
    try:
        trial = copy.deepcopy(model)
    except Exception as error:  # whatever a user's module raises
        raise ModelError(f"the model can't be copied: {_line(error)}") from error
    parameters = [p for p in trial.parameters() if p.requires_grad]
    if not parameters:
        raise ModelError("the model has no parameters that require a gradient")
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        outputs = _outputs(trial, inputs)
        value = _value(loss, outputs, targets)
        _check_mean(loss, outputs.detach(), targets, value)
        _check_gradient(value, parameters)


def _outputs(model: nn.Module, inputs: Tensor) -> Tensor:
    shape = tuple(inputs.shape[1:])
    try:
        outputs: Any = model(inputs)
    except Exception as error:  # whatever a user's module raises
        raise ModelError(
            f"the model can't take a batch of inputs of shape {shape}: {_line(error)}"
        ) from error
    if not isinstance(outputs, Tensor):
        raise ModelError(f"the model returns a {type(outputs).__name__}; return one tensor")
    if not outputs.ndim or len(outputs) != len(inputs):
        raise ModelError(
            f"the model returns {tuple(outputs.shape)} for {len(inputs)} inputs of shape {shape}; "
            "return one output an input, [n, outputs]"
        )
    if not torch.isfinite(outputs).all():
        raise ModelError(
            "the model's outputs are not finite on the first records; scale the inputs, or "
            "initialize it anew"
        )
    return outputs


def _value(loss: Loss, outputs: Tensor, targets: Tensor) -> Tensor:
    shapes = f"outputs {tuple(outputs.shape)} and targets {tuple(targets.shape)}"
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            value: Any = loss(outputs, targets)
    except Exception as error:  # whatever a user's loss raises
        needed = 0 if targets.is_floating_point() else int(targets.max()) + 1
        if outputs.ndim == 2 and outputs.shape[1] < needed:
            raise ModelError(
                f"the model has {outputs.shape[1]} outputs but labels reach {needed - 1}; "
                f"give it {needed}"
            ) from error
        raise ModelError(f"the loss does not take {shapes}: {_line(error)}") from error
    if any("target size" in str(warning.message) for warning in caught):
        raise ModelError(f"the loss would broadcast {shapes}; give them one shape")
    if not isinstance(value, Tensor) or value.ndim:
        found = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise ModelError(f"the loss returns {found}, not a scalar; use mean reduction")
    if not torch.isfinite(value):
        raise ModelError(f"the loss is {value.item()} on the first records; scale the inputs")
    return value


def _check_mean(loss: Loss, outputs: Tensor, targets: Tensor, value: Tensor) -> None:
    # A mean does not change when each record comes twice, weighted or not; a sum doubles.
    twice = _value(loss, outputs.repeat_interleave(2, dim=0), targets.repeat_interleave(2))
    if value and torch.isclose(twice, 2 * value, rtol=1e-4):
        raise ModelError("the loss is a sum over the batch; use mean reduction")


def _check_gradient(value: Tensor, parameters: Sequence[Tensor]) -> None:
    found: Sequence[Any] = ()
    if value.requires_grad:
        found = torch.autograd.grad(value, parameters, allow_unused=True)
    gradients = [g for g in found if isinstance(g, Tensor)]
    if not gradients:
        raise ModelError("no parameter gets a gradient from the loss; don't detach the outputs")
    if not all(torch.isfinite(g).all() for g in gradients):
        raise ModelError("a gradient is not finite on the first records; scale the inputs")


def _line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
