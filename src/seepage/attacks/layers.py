"""Which layers of a model run, in which order, and on what."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]
from torch.nn.modules.dropout import _DropoutNd  # pyright: ignore[reportPrivateUsage]

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..core.views import Loss


@dataclass(frozen=True, slots=True, eq=False)
class LayerRun:
    """One call of a module that owns parameters: its name, the module, what went in and out."""

    name: str
    module: nn.Module
    input: Tensor
    output: Tensor


def as_trained(model: nn.Module) -> nn.Module:
    """Return a copy that runs as in training, but that nothing random or past touches.

    Batch statistics are those of the batch and leave no trace in the buffers; dropout is
    off, because its masks are not known.
    """
    copy = deepcopy(model)
    for module in copy.modules():
        if isinstance(module, _DropoutNd):
            module.eval()
        if isinstance(module, _BatchNorm):
            module.momentum = 0.0
    return copy


def layer_runs(model: nn.Module, inputs: Tensor) -> tuple[list[LayerRun], Tensor]:
    """Return the calls of modules with parameters in order, and the outputs for `inputs`.

    A copy runs, in evaluation mode, so neither the model nor any generator changes; the
    outputs carry the graph back to each call's output.
    """
    probe = deepcopy(model).eval()
    runs: list[LayerRun] = []

    def record(name: str) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
        """Return the hook that notes calls of the module `name`."""

        def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            """Note one call of the module."""
            if args and isinstance(args[0], Tensor) and isinstance(output, Tensor):
                runs.append(LayerRun(name, module, args[0], output))

        return hook

    for parameter in probe.parameters():
        parameter.requires_grad_(True)
    for name, module in probe.named_modules():
        if any(True for _ in module.parameters(recurse=False)):
            module.register_forward_hook(record(name))
    with torch.enable_grad():
        outputs = probe(inputs)
    return runs, outputs


def label_gradients(run: LayerRun, outputs: Tensor, loss: Loss, classes: int) -> Tensor:
    """Return each record's loss gradient at a run's output for each label, in float64.

    `run` and the `outputs` `[n, classes]` are of one pass; the gradients are `[classes, n, m]`.
    """
    rows: list[Tensor] = []
    for label in range(classes):
        total = loss(outputs, torch.full((len(outputs),), label)) * len(outputs)
        (gradient,) = torch.autograd.grad(total, [run.output], retain_graph=True)
        rows.append(gradient.double())
    return torch.stack(rows) if rows else run.output.new_empty((0, *run.output.shape)).double()


def parameter_name(run: LayerRun, leaf: str) -> str:
    """Return the full name of a run's parameter, e.g. `0.weight`."""
    return f"{run.name}.{leaf}" if run.name else leaf
