"""Generators and images that any test can have again."""

from __future__ import annotations

from functools import cache

import torch
from sklearn.datasets import load_digits
from torch import Tensor


def rng(seed: int = 0) -> torch.Generator:
    """Return a generator of its own for each call."""
    return torch.Generator().manual_seed(seed)


@cache
def digits() -> tuple[Tensor, Tensor]:
    """Images `[1797, 1, 8, 8]` in 0..1 and their labels, shuffled."""
    inputs, targets = map(torch.tensor, load_digits(return_X_y=True))
    order = torch.randperm(len(targets), generator=rng())
    return inputs.float().view(-1, 1, 8, 8)[order] / 16, targets[order]
