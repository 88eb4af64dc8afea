"""What a layer must be able to do, so that slopes of gradient distances need no autograd."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


class Layer(ABC):
    """One operation with the four passes of `tape.py`; it remembers what the later ones need.

    Tensors carry restarts and records on one axis, `[restarts * batch, ...]`. A tangent that
    is None is zero. A layer works on one evaluation at a time.
    """

    @abstractmethod
    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Return the output."""

    @abstractmethod
    def backward(self, slope: Tensor, *, needed: bool) -> Sequence[Tensor | None]:
        """Return the loss's slopes at the inputs from that at the output, if they are needed."""

    @abstractmethod
    def tangent(self, tangents: Sequence[Tensor | None]) -> Tensor | None:
        """Return the derivative of the output as inputs and parameters move."""

    @abstractmethod
    def backward_tangent(self, slope: Tensor | None) -> Sequence[Tensor | None]:
        """Return the derivative of `backward`, whose own argument moves by `slope`."""


class Parametric(Layer):
    """A layer with parameters whose gradients were observed.

    `names` are its parameters in the update. The slope of the distance at its gradient G is
    either given whole (`pull`) or as `along` times the observed gradient plus `own` times G.
    """

    names: tuple[str, ...]
    restarts: int = 1

    @abstractmethod
    def observe(self, observed: dict[str, Tensor], weights: dict[str, float]) -> None:
        """Take the observed gradients, and the weight of each parameter in `sums`."""

    @abstractmethod
    def gradients(self) -> dict[str, Tensor]:
        """Return the gradient of each restart by name, `[restarts, *shape]`."""

    @abstractmethod
    def sums(self) -> tuple[Tensor, Tensor]:
        """Return <G, observed> and <G, G>, weighted, `[restarts]` each."""

    @abstractmethod
    def combine(self, along: Tensor, own: Tensor) -> None:
        """Move the parameters by weight * (along * observed + own * G), `[restarts]` each."""

    @abstractmethod
    def pull(self, directions: dict[str, Tensor]) -> None:
        """Move the parameters by given directions, `[restarts, *shape]` by name."""


def per_restart(values: Tensor, restarts: int) -> Tensor:
    """Return the sum of `values` over all but its restarts, `[restarts]`."""
    return values.reshape(restarts, -1).sum(1)


def spread(values: Tensor, dims: int) -> Tensor:
    """Return `[restarts]` values shaped for a product with `[restarts, ...]` of `dims` axes."""
    return values.view(-1, *[1] * (dims - 1))


def total(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    """Return the sum of two tensors, either of which may be None for zero."""
    if first is None or second is None:
        return second if first is None else first
    return torch.add(first, second)
