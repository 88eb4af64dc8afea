"""Trains the nets of the benchmarks for a while, by plain SGD on one machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
import torch.nn.functional as F
from image_sets import Images
from torch import Tensor, nn


def draws(count: int, size: int, steps: int, rng: torch.Generator) -> Iterator[Tensor]:
    """Yield a batch of `size` rows of `count` for each step, drawn with replacement."""
    for _ in range(steps):
        yield torch.randint(count, (size,), generator=rng)


def epochs(count: int, size: int, passes: int, rng: torch.Generator) -> Iterator[Tensor]:
    """Yield the batches of several passes over `count` rows, each in an order of its own."""
    for _ in range(passes):
        yield from torch.randperm(count, generator=rng).split(size)


def trained(
    model: nn.Module, images: Images, batches: Iterable[Tensor], *, lr: float, momentum: float = 0.0
) -> nn.Module:
    """Take a step of SGD on each batch of the images; return the model, in training mode."""
    optimizer = torch.optim.SGD(model.train().parameters(), lr, momentum=momentum)
    for rows in batches:
        optimizer.zero_grad()
        F.cross_entropy(model(images.x[rows]), images.y[rows]).backward()
        optimizer.step()
    return model
