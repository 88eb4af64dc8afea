"""Jobs on small tables whose last column is sensitive, planted to be told or not."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from seepage.core.columns import TableColumn
from seepage.core.task import ClientData, Records, Task, Training

NUMBERS = 6


def table(n: int, values: int, seed: int, *, tied: float, noisy: bool) -> Records:
    """Records with a column that the first number tells where `tied` is above 0.

    Labels follow the second number and the column, or, where `noisy`, nothing.
    """
    rng = torch.Generator().manual_seed(seed)
    rest = torch.randn(n, NUMBERS, generator=rng)
    own = torch.randint(0, values, (n,), generator=rng)
    if tied:
        own = (tied * rest[:, 0] + torch.randn(n, generator=rng) > 0).long()
    signal = rest[:, 1] + (own == 0) + 0.5 * torch.randn(n, generator=rng)
    targets = torch.randint(0, 2, (n,), generator=rng) if noisy else (signal > 0.5).long()
    inputs = torch.cat([rest, one_hot(own, values)], 1)
    return Records(inputs=inputs, targets=targets, rows=seed * 10_000 + torch.arange(n))


def columns(values: int) -> tuple[TableColumn, ...]:
    """What the columns of such a table are."""
    numbers = (TableColumn(name=f"x{i}", first=i, width=1) for i in range(NUMBERS))
    own = TableColumn(
        name="own",
        first=NUMBERS,
        width=values,
        categories=tuple("abcdef"[:values]),
        sensitive=True,
    )
    return (*numbers, own)


def job(
    values: int = 2,
    *,
    held: int = 40,
    others: int = 300,
    width: int = 0,
    tied: float = 0.0,
    noisy: bool = False,
    **training: Any,
) -> Task:
    """Four clients of `held` records; a linear model, or one hidden layer of `width`."""

    def build(rng: torch.Generator) -> nn.Module:
        """Return the model under the generator's seed."""
        d = NUMBERS + values
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(rng.initial_seed())
            if not width:
                return nn.Linear(d, 2)
            return nn.Sequential(nn.Linear(d, width), nn.ReLU(), nn.Linear(width, 2))

    kind: dict[str, Any] = {"tied": tied, "noisy": noisy}
    return Task(
        name="table",
        build=build,
        loss=nn.CrossEntropyLoss(),
        clients=tuple(
            ClientData(
                name=str(c),
                train=table(held, values, 1 + c, **kind),
                holdout=table(4, values, 11 + c, **kind),
            )
            for c in range(4)
        ),
        auxiliary=table(others, values, 99, **kind),
        training=Training(**training),
        classes=2,
        columns=columns(values),
    )


def shares(values: Tensor, of: int) -> Tensor:
    """Return how often each of `of` values occurs, `[of]`."""
    return torch.bincount(values, minlength=of) / len(values)
