"""A multilayer perceptron."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import nn

from ..core.errors import ModelError, require_least


@dataclass(frozen=True, kw_only=True, slots=True)
class MLP:
    """`depth` hidden ReLU layers of `width` units on the flattened input.

    Raises `ModelError` unless both are 1 or more.
    """

    width: int = 128
    depth: int = 1

    def __post_init__(self) -> None:
        require_least("mlp", self, ModelError, width=1, depth=1)

    def __call__(self, input_shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return a module from `[n, *input_shape]` to `[n, outputs]`."""
        layers: list[nn.Module] = [nn.Flatten()]
        features = math.prod(input_shape)
        for _ in range(self.depth):
            layers += [nn.Linear(features, self.width), nn.ReLU()]
            features = self.width
        return nn.Sequential(*layers, nn.Linear(features, outputs))
