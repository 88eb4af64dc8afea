"""Which layers of a model run, in which order, and on what."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True, eq=False)
class LayerRun:
    """One call of a module that owns parameters: its name, the module, what went in and out."""

    name: str
    module: nn.Module
    input: Tensor
    output: Tensor


def layer_runs(model: nn.Module, inputs: Tensor) -> tuple[list[LayerRun], Tensor]:
    """Return the calls of modules with parameters in order, and the outputs for `inputs`.

    A copy runs, in evaluation mode, so neither the model nor any generator changes; the
    outputs carry the graph back to each call's output.
    """
    probe = deepcopy(model).eval()
    runs: list[LayerRun] = []

    def record(name: str) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
        def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
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


def parameter_name(run: LayerRun, leaf: str) -> str:
    """Return the full name of a run's parameter, e.g. `0.weight`."""
    return f"{run.name}.{leaf}" if run.name else leaf
