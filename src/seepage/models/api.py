"""Builds models and losses by name, the bundled ones or users' own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from ..core.errors import UsageError
from ..core.names import nearest
from ..core.registry import card
from .fit import check_fit
from .losses import MeanSquaredError
from .references import resolve

if TYPE_CHECKING:
    from ..core.views import Loss

__all__ = ["build", "check_fit", "loss"]


def build(
    name: str,
    settings: Mapping[str, Any],
    *,
    input_shape: tuple[int, ...],
    classes: int,
    rng: torch.Generator,
) -> nn.Module:
    """Return a freshly initialized model for inputs `[n, *input_shape]`.

    `name` is a model of the catalogue, or `module:function`, called with `settings` and,
    where it has arguments of these names or needs two more, `input_shape` and `classes`.
    A catalogue model has one output for regression (`classes` 0). The same `rng` state
    gives the same model, and torch's global generator is left as it was. Raises
    `UsageError` for an unknown name or setting, or a function that fails.
    """
    make = (_users if ":" in name else _bundled)(name, settings, input_shape, classes)
    seed = int(torch.randint(2**62, (), generator=rng))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return make()


def loss(name: str, classes: int) -> Loss:
    """Return a loss of (outputs, targets) with mean reduction.

    `auto` is cross-entropy for classes and mean squared error else, outputs `[n, 1]`
    squeezed; `module:function` is imported, and a class of loss is made without arguments.
    Raises `UsageError` for another name, or where the import fails.
    """
    if name == "auto":
        return nn.CrossEntropyLoss() if classes else MeanSquaredError()
    if ":" not in name:
        raise UsageError(f"no loss is called {name!r}{nearest(name, ['auto'])}; or module:function")
    found = resolve(name)
    function: Any = _called(name, found) if isinstance(found, type) else found
    if not callable(function):
        raise UsageError(f"{name} is a {type(function).__name__}; name a function or a loss class")
    return cast("Loss", function)


def _bundled(
    name: str, settings: Mapping[str, Any], input_shape: tuple[int, ...], classes: int
) -> Callable[[], nn.Module]:
    builder = card("models", name).build(settings)
    return lambda: builder(input_shape, classes or 1)


def _users(
    name: str, settings: Mapping[str, Any], input_shape: tuple[int, ...], classes: int
) -> Callable[[], nn.Module]:
    function = resolve(name)
    if isinstance(function, nn.Module) or not callable(function):
        raise UsageError(
            f"{name} is a {type(function).__name__}; name a function that makes a model"
        )
    arguments, named = _arguments(function, settings, input_shape, classes)

    def make() -> nn.Module:
        """Build one model; anything else raises `UsageError`."""
        model = _called(name, function, *arguments, **named, **settings)
        if not isinstance(model, nn.Module):
            raise UsageError(f"{name} returned {type(model).__name__}; return a torch.nn.Module")
        return model

    return make


def _arguments(
    function: Callable[..., Any],
    settings: Mapping[str, Any],
    input_shape: tuple[int, ...],
    classes: int,
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return how `function` wants the shape and the classes: by name, by place or not at all.

    By place only where it can't be called without two arguments: a function whose
    arguments all have defaults, such as a width, must not receive a shape in their stead.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:
        return (), {}
    offered = {"input_shape": input_shape, "classes": classes}
    names = [p.name for p in parameters if p.kind != p.POSITIONAL_ONLY]
    named = {name: offered[name] for name in names if name in offered and name not in settings}
    placed = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [p.name for p in parameters if p.default is p.empty and p.kind in placed]
    needed = [name for name in needed if name not in settings]
    if len(needed) == 2 and len(named) < 2:
        return (input_shape, classes), {}
    return (), named


def _called(name: str, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Any:
    try:
        return function(*arguments, **named)
    except UsageError:
        raise
    except Exception as error:  # whatever a user's function raises
        raise UsageError(f"{name} failed: {type(error).__name__}: {error}") from error
