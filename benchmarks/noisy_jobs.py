"""Digits, small nets, and what defended clients released of them: for `noise_attacks.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn

from seepage.core.defense import Defense, LocalStep
from seepage.core.threat import Observer
from seepage.core.views import (
    BatchSize,
    HistoryView,
    JobFacts,
    SeenRound,
)

LR, DELTA = 0.1, 1e-5
AUXILIARY = slice(1300, None)


def rng(seed: int) -> torch.Generator:
    """Return a generator of its own."""
    return torch.Generator().manual_seed(seed)


def digits() -> tuple[Tensor, Tensor]:
    """Return shuffled images `[1797, 1, 8, 8]` in 0..1, and labels."""
    inputs, targets = map(torch.tensor, load_digits(return_X_y=True))
    order = torch.randperm(len(targets), generator=rng(0))
    return inputs.float().view(-1, 1, 8, 8)[order] / 16, targets[order]


X, Y = digits()


def net(width: int = 32, steps: int = 0) -> nn.Module:
    """Return a hidden layer on digits, trained so many steps on public records."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))
    for step in range(steps):
        index = 1300 + torch.randint(len(Y) - 1300, (32,), generator=rng(step))
        slopes = torch.autograd.grad(
            F.cross_entropy(model(X[index]), Y[index]), [*model.parameters()]
        )
        with torch.no_grad():
            for p, slope in zip(model.parameters(), slopes, strict=True):
                p -= LR * slope
    return model


def released(defense: Defense, model: nn.Module, index: Tensor, batch: int, order: Any) -> Any:
    """Return the update that leaves a client after one step on the digits at `index`."""
    step = LocalStep(
        model=model, loss=F.cross_entropy, inputs=X[index], targets=Y[index], expected_batch=batch
    )
    gradient = defense.gradient(step, order)
    assert gradient is not None
    return defense.protect_update({n: -LR * g for n, g in gradient.items()}, order)


def told(defense: Defense, *facts: Any) -> dict[str, Any]:
    """Return what every view of a server has."""
    job = JobFacts(
        input_shape=(1, 8, 8), classes=10, value_range=(0.0, 1.0), clients=4, cohort=4,
        local_steps=1, lr=LR,
    )  # fmt: skip
    return {
        "observer": Observer.HONEST_SERVER,
        "job": job,
        "loss": F.cross_entropy,
        "defenses": (defense.card,),
        "facts": facts,
    }


def state_of(model: nn.Module) -> dict[str, Tensor]:
    """Return a copy of a model's tensors."""
    return {n: v.detach().clone() for n, v in model.state_dict().items()}


def history(
    defense: Defense,
    model: nn.Module,
    batches: Sequence[Tensor],
    batch: int,
    seed: int,
    *facts: Any,
) -> HistoryView:
    """Return the server's view of one client's rounds, whose noisy updates move the model."""
    order, rounds = rng(seed), list[SeenRound]()
    moving = net()
    moving.load_state_dict(model.state_dict())
    for t, index in enumerate(batches):
        state, update = state_of(moving), released(defense, moving, index, batch, order)
        rounds.append(SeenRound(t, state, {0: update}))
        with torch.no_grad():
            for name, p in moving.named_parameters():
                p += update[name] / 4
    return HistoryView(
        client=0, model=moving, rounds=tuple(rounds), **told(defense, BatchSize(batch), *facts)
    )
