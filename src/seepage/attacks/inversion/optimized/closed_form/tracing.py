"""Which layers of a model run on what, as far as each has a rule here."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from .affine import FullyConnected
from .convolution import Convolution
from .maps import Activation, LinearMap, MaxPool, Rectifier, Reshape, Sum
from .norms import Normalization

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from .layer import Layer

_RECTIFIERS = (F.relu, torch.relu, "relu")
_SMOOTH_MODULES = (nn.ELU, nn.GELU, nn.LeakyReLU, nn.SELU, nn.SiLU, nn.Softplus)
_SMOOTH = {nn.Sigmoid: torch.sigmoid, nn.Tanh: torch.tanh}
_SMOOTH_FUNCTIONS = (torch.sigmoid, torch.tanh, F.elu, F.gelu, F.silu, F.softplus)
_SUMS = (operator.add, operator.iadd, torch.add, "add", "add_")
_RESHAPES = (torch.flatten, "flatten")
_LINEAR = (F.adaptive_avg_pool2d, F.avg_pool2d, F.pad, operator.getitem, torch.mean, "mean")
_POOLS = (nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.ZeroPad2d)
_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """A layer, and the places of its inputs: 0 is the model's input, i the output of step i."""

    layer: Layer
    sources: tuple[int, ...]


def steps_of(model: nn.Module, observed: set[str]) -> list[Step] | None:
    """Return the steps of a model, or None where one of them has no rule.

    `observed` are the names of the parameters whose gradients are matched. Weights that
    several layers share have no rule, nor have models that branch on their input.
    """
    steps = _chain(model, observed)
    if steps is None:
        steps = _traced(model, observed)
    return steps if steps and _covers(steps, observed) else None


def _chain(model: nn.Module, observed: set[str]) -> list[Step] | None:
    """Return the steps of layers in a row, None where the model is anything else.

    Tracing them takes as long as a few of the passes that it is for.
    """
    layers: list[Layer] = []
    for name, module in model.named_modules(remove_duplicate=False):
        if type(module) is nn.Sequential:
            continue
        layer = _module(name, module, observed)
        if layer is None:
            return None
        layers.append(layer)
    return [Step(layer, (i,)) for i, layer in enumerate(layers)]


def _traced(model: nn.Module, observed: set[str]) -> list[Step] | None:
    """Return the steps that a symbolic trace of the model shows."""
    try:
        nodes = list(fx.Tracer().trace(model).nodes)
    except Exception:  # whatever a user's module raises when it is traced
        return None
    places: dict[fx.Node, int] = {}
    steps: list[Step] = []
    for node in nodes:
        if node.op == "placeholder":
            if places:
                return None
            places[node] = 0
        elif node.op == "output":
            last = node.args[0]
            if not isinstance(last, fx.Node) or places.get(last) != len(steps):
                return None
        else:
            inputs = node.all_input_nodes
            layer = _layer(model, node, observed)
            if layer is None or any(i not in places for i in inputs):
                return None
            if not isinstance(layer, Sum) and len(inputs) != 1:
                return None
            steps.append(Step(layer, tuple(places[i] for i in inputs)))
            places[node] = len(steps)
    return steps


def _covers(steps: list[Step], observed: set[str]) -> bool:
    """Return whether each observed parameter belongs to one step."""
    names = [n for s in steps for n in getattr(s.layer, "names", ())]
    return bool(names) and sorted(names) == sorted(observed)


def _layer(model: nn.Module, node: fx.Node, observed: set[str]) -> Layer | None:
    if node.op == "call_module":
        name = str(node.target)
        return _module(name, model.get_submodule(name), observed)
    if node.op not in ("call_function", "call_method"):
        return None
    target: Any = node.target
    if target in _SUMS:
        pair = len(node.args) == 2 and not node.kwargs and len(node.all_input_nodes) == 2
        return Sum() if pair else None
    function = _applied(node)
    if function is None:
        return None
    if target in _RECTIFIERS:
        return Rectifier()
    if target in _RESHAPES:
        return Reshape(function)
    if target in _LINEAR:
        return LinearMap(function)
    return Activation(function) if target in _SMOOTH_FUNCTIONS else None


def _applied(node: fx.Node) -> Callable[[Tensor], Tensor] | None:
    """Return the call of a node as a function of its first argument, the only tensor."""
    if not node.args or node.all_input_nodes != [node.args[0]]:
        return None
    rest, named, target = node.args[1:], node.kwargs, node.target
    if callable(target):
        if not rest and not named:
            return target
        return lambda x: target(x, *rest, **named)
    return lambda x: getattr(x, str(target))(*rest, **named)


def _module(name: str, module: nn.Module, observed: set[str]) -> Layer | None:
    kind = type(module)
    if isinstance(module, nn.Linear) and kind is nn.Linear:
        return FullyConnected(name, module, observed)
    if isinstance(module, nn.Conv2d) and kind is nn.Conv2d:
        plain = module.groups == 1 and module.padding_mode == "zeros"
        plain = plain and not isinstance(module.padding, str)
        return Convolution(name, module, observed) if plain else None
    if kind in _BATCH_NORMS or kind is nn.GroupNorm:
        return Normalization(name, module, observed)
    if kind is nn.ReLU:
        return Rectifier()
    if kind in _SMOOTH:
        return Activation(_SMOOTH[kind])
    if kind in _SMOOTH_MODULES:
        return Activation(module)
    if kind is nn.Flatten:
        return Reshape(module)
    if kind in _POOLS:
        return LinearMap(module)
    if kind is nn.Identity or _is_off(module):
        return Reshape(lambda x: x)
    if isinstance(module, nn.MaxPool2d):
        geometry = (module.kernel_size, module.stride, module.padding, module.dilation)
        pool = partial(_max_pool, geometry=geometry, ceil=module.ceil_mode)
        return MaxPool(pool)
    return None


def _max_pool(x: Tensor, *, geometry: tuple[Any, ...], ceil: bool) -> tuple[Tensor, Tensor]:
    return torch.ops.aten.max_pool2d_with_indices(x, *geometry, ceil)


def _is_off(module: nn.Module) -> bool:
    """Return whether this is a dropout in evaluation mode."""
    dropout = isinstance(module, nn.modules.dropout._DropoutNd)  # pyright: ignore[reportPrivateUsage]
    return dropout and not module.training
