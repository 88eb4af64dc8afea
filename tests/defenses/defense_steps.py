"""Steps of a client for tests of defenses: models, batches, and what many releases show."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seepage.core.defense import Defense, LocalStep
from seepage.core.seeds import torch_rng

Loss = Callable[[Tensor, Tensor], Tensor]


def mlp() -> nn.Module:
    """Return 6-16-3."""
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))


def make_step(
    build: Callable[[], nn.Module] = mlp,
    batch: int = 20,
    loss: Loss = F.cross_entropy,
    seed: int = 0,
) -> LocalStep:
    """Return a step on records of lengths from tiny to huge: some are clipped and some are not."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build().train()
        inputs = torch.randn(batch, 6) * torch.logspace(-2, 2, batch)[:, None]
        targets = torch.randint(0, 3, (batch,))
    return LocalStep(
        model=model, loss=loss, inputs=inputs, targets=targets, expected_batch=max(batch, 1)
    )


def flat(update: Mapping[str, Tensor]) -> Tensor:
    """Return an update as one vector of doubles."""
    return torch.cat([value.detach().double().flatten() for value in update.values()])


def releases(
    defense: Defense, step: LocalStep, count: int, *, seed: int = 0
) -> list[dict[str, Tensor]]:
    """Return the sums, without the division by the batch, of `count` independent releases."""
    found: list[dict[str, Tensor]] = []
    for number in range(count):
        mean = defense.gradient(step, torch_rng(seed, number))
        assert mean is not None
        found.append({name: g.detach() * step.expected_batch for name, g in mean.items()})
    return found
