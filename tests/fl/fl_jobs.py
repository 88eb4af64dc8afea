"""Small jobs made by hand."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seepage.core.cards import DefenseCard
from seepage.core.defense import Defense
from seepage.core.task import ClientData, Records, Task, Training

SHAPE, CLASSES = (1, 8, 8), 10


def seeded(make: Callable[[], nn.Module]) -> Callable[[torch.Generator], nn.Module]:
    """Return a factory whose models follow from the generator's seed."""

    def build(rng: torch.Generator) -> nn.Module:
        """Make the model under the generator's seed; the global generator stays."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(rng.initial_seed())
            return make()

    return build


def mlp(width: int = 16, *, last: nn.Module | None = None) -> nn.Module:
    """Return one hidden layer, with another one behind it if asked for."""
    middle = [last] if last else []
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, width), nn.ReLU(), *middle, nn.Linear(width, CLASSES)
    )


def cnn() -> nn.Module:
    """Return a convolution and a linear layer."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(36, CLASSES)
    )


def records(n: int, first: int, rng: torch.Generator, shape=SHAPE) -> Records:
    """Return `n` random records whose rows count from `first`."""
    return Records(
        inputs=torch.randn(n, *shape, generator=rng),
        targets=torch.randint(0, CLASSES, (n,), generator=rng),
        rows=torch.arange(first, first + n),
    )


def job(make=mlp, *, clients: int = 4, n: int = 12, loss=F.cross_entropy, **training) -> Task:
    """Return a job of alike clients; `training` changes how they train."""
    rng = torch.Generator().manual_seed(5)
    held = tuple(
        ClientData(
            name=f"clinic-{i}",
            train=records(n, 100 * i, rng),
            holdout=records(6, 100 * i + 50, rng),
        )
        for i in range(clients)
    )
    return Task(
        name="job",
        build=seeded(make),
        loss=loss,
        clients=held,
        auxiliary=records(7, 10_000, rng),
        training=Training(**{"rounds": 3, "batch_size": 4, "lr": 0.1, **training}),
        classes=CLASSES,
    )


def as_double(task: Task) -> Task:
    """Return the job in double precision."""
    from dataclasses import replace

    def double(r: Records) -> Records:
        """Return records in double precision."""
        return replace(r, inputs=r.inputs.double())

    clients = tuple(
        replace(c, train=double(c.train), holdout=double(c.holdout)) for c in task.clients
    )
    return replace(
        task,
        clients=clients,
        auxiliary=double(task.auxiliary),
        build=lambda rng: task.build(rng).double(),
    )


class Plain(Defense):
    """A defense for tests: it has a card, and does nothing."""

    @property
    def card(self) -> DefenseCard:
        """A card that promises nothing."""
        return DefenseCard(
            name=type(self).__name__.lower(),
            summary="for tests",
            implementation="fl_jobs:Plain",
            mechanism="none",
            guarantee="none",
            adaptive_attacks=(),
        )


def gap(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    """Return the largest relative distance (L2 norm) between tensors of the same name."""
    assert a.keys() == b.keys()
    return max(float((a[k] - b[k]).norm() / b[k].norm().clamp_min(1e-30)) for k in a)
