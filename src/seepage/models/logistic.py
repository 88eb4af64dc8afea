"""Logistic regression: one linear layer."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True, kw_only=True, slots=True)
class Logistic:
    """A single `Linear` on the flattened input."""

    def __call__(self, input_shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return a module from `[n, *input_shape]` to `[n, outputs]`."""
        return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(input_shape), outputs))
