"""Small models, and views made by hand, that the tests of several attacks share."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn

from seepage.core.threat import Observer
from seepage.core.views import AuxiliaryData, BatchSize, JobFacts, UpdateView

LR = 0.1
GALLERY = 496


@cache
def digits() -> tuple[Tensor, Tensor]:
    """Images `[1797, 1, 8, 8]` in 0..1 and their labels, shuffled."""
    bunch = load_digits()
    order = torch.randperm(len(bunch.target), generator=torch.Generator().manual_seed(0))
    inputs = torch.tensor(bunch.data, dtype=torch.float32).view(-1, 1, 8, 8) / 16
    return inputs[order], torch.tensor(bunch.target)[order]


def seeded(build: Any, seed: int = 0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def mlp(width: int, act: type[nn.Module] = nn.ReLU, bias: bool = True) -> nn.Module:
    return seeded(
        lambda: nn.Sequential(
            nn.Flatten(), nn.Linear(64, width, bias=bias), act(), nn.Linear(width, 10)
        )
    )


def lenet(act: type[nn.Module] = nn.ReLU) -> nn.Module:
    def build() -> nn.Module:
        model = nn.Sequential(
            nn.Conv2d(1, 8, 3, stride=2, padding=1),
            act(),
            nn.Conv2d(8, 8, 3, padding=1),
            act(),
            nn.Flatten(),
            nn.Linear(128, 10),
        )
        if act is nn.Sigmoid:
            for parameter in model.parameters():
                nn.init.uniform_(parameter, -0.5, 0.5)
        return model

    return seeded(build)


@cache
def trained_mlp(width: int, rounds: int = 40, batch: int = 4) -> nn.Module:
    """Federated averaging of 8 clients with one step of `batch` digits a round, lr .1."""
    x, y = digits()
    rng = torch.Generator().manual_seed(1)
    model = mlp(width)
    for _ in range(rounds):
        # The mean of equal batches' gradients is that of their union.
        draws = [c * 100 + torch.randperm(100, generator=rng)[:batch] for c in range(8)]
        union = torch.cat(draws)
        slopes = torch.autograd.grad(F.cross_entropy(model(x[union]), y[union]), model.parameters())
        with torch.no_grad():
            for parameter, slope in zip(model.parameters(), slopes, strict=True):
                parameter -= LR * slope
    return model


def draw(seed: int, size: int) -> Tensor:
    """Indices of digits that no auxiliary record and no gallery shares."""
    return torch.randperm(800, generator=torch.Generator().manual_seed(seed))[:size]


def job(**changes: Any) -> JobFacts:
    facts = {
        "input_shape": (1, 8, 8),
        "classes": 10,
        "value_range": (0.0, 1.0),
        "clients": 8,
        "cohort": 8,
        "local_steps": 1,
        "lr": LR,
    }
    return JobFacts(**{**facts, **changes})


def update_of(model: nn.Module, *batches: tuple[Tensor, Tensor], lr: float = LR) -> dict[str, Any]:
    """New minus old parameters after one SGD step on each batch, in float32 as clients do."""
    local = deepcopy(model)
    optimizer = torch.optim.SGD(local.parameters(), lr)
    for x, y in batches:
        optimizer.zero_grad()
        F.cross_entropy(local(x), y).backward()
        optimizer.step()
    old = dict(model.named_parameters())
    return {n: p.detach() - old[n].detach() for n, p in local.named_parameters()}


def noisy(update: dict[str, Tensor], sd: float, seed: int = 0) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return {n: u + sd * torch.randn(u.shape, generator=rng) for n, u in update.items()}


def auxiliary() -> AuxiliaryData:
    x, y = digits()
    return AuxiliaryData(x[1300:], y[1300:])


def update_view(
    model: nn.Module,
    update: dict[str, Tensor],
    *facts: Any,
    defenses: tuple[Any, ...] = (),
    observer: Observer = Observer.HONEST_SERVER,
    **changes: Any,
) -> UpdateView:
    return UpdateView(
        observer=observer,
        job=job(**changes),
        loss=F.cross_entropy,
        facts=facts,
        defenses=defenses,
        round=0,
        client=0,
        model=model,
        update=update,
    )


def view_of(model: nn.Module, index: Tensor, *facts: Any, noise: float = 0.0) -> UpdateView:
    """The honest server's view of one step on the digits at `index`."""
    x, y = digits()
    update = noisy(update_of(model, (x[index], y[index])), noise, seed=int(index[0]))
    return update_view(model, update, BatchSize(len(index)), *facts)


def gallery(originals: Tensor) -> Tensor:
    return torch.cat([originals, digits()[0][800 : 800 + GALLERY]])
