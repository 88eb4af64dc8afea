"""Which records a client draws for each local step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ..core.task import Records

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor


def expected_batch(n: int, batch_size: int) -> int:
    """Return the (expected) size of the batches of a client that holds `n` records.

    >>> expected_batch(100, 8), expected_batch(5, 8), expected_batch(5, 0)
    (8, 5, 5)
    """
    return n if batch_size == 0 else min(batch_size, n)


class Epochs:
    """Shuffled epochs without replacement, in batches of exactly `size` distinct records.

    Where an epoch does not divide into batches, its last records are filled up with the
    first of the next epoch's order that are not among them. So the batch size is what the
    job says at every step, and still each epoch uses each record once.
    """

    def __init__(self, n: int, size: int, rng: torch.Generator) -> None:
        self.n, self.size, self.rng = n, size, rng
        self._queue = torch.empty(0, dtype=torch.int64)

    def draw(self) -> Tensor:
        """Return the indices of the next batch, int64 `[size]`."""
        if self.size == self.n:
            return torch.arange(self.n)
        if len(self._queue) < self.size:
            order = torch.randperm(self.n, generator=self.rng)
            repeated = torch.isin(order, self._queue)
            fill = order[~repeated][: self.size - len(self._queue)]
            batch = torch.cat([self._queue, fill])
            self._queue = order[~torch.isin(order, fill)]
            return batch
        batch, self._queue = self._queue[: self.size], self._queue[self.size :]
        return batch


class Poisson:
    """Poisson sampling: each record joins each batch on its own, at rate `size / n`.

    This is what privacy amplification assumes (Mironov, Talwar & Zhang 2019);
    batches may be empty.
    """

    def __init__(self, n: int, size: int, rng: torch.Generator) -> None:
        self.n, self.rate, self.rng = n, size / n, rng

    def draw(self) -> Tensor:
        """Return the indices of the next batch, int64 `[k]` with k in 0..n."""
        return torch.nonzero(torch.rand(self.n, generator=self.rng) < self.rate).flatten()


Draws = Epochs | Poisson


def cohort_of(clients: int, size: int, rng: torch.Generator) -> tuple[int, ...]:
    """Return `size` distinct clients in ascending order, every set equally likely."""
    if size == clients:
        return tuple(range(clients))
    return tuple(sorted(torch.randperm(clients, generator=rng)[:size].tolist()))


def distinct(batches: Iterable[Records]) -> Records:
    """Return the records of some batches, each row once."""
    batches = list(batches)
    joined = Records(
        inputs=torch.cat([b.inputs for b in batches]),
        targets=torch.cat([b.targets for b in batches]),
        rows=torch.cat([b.rows for b in batches]),
    )
    first = {row: i for i, row in reversed(list(enumerate(joined.rows.tolist())))}
    return joined.take(torch.tensor(sorted(first.values()), dtype=torch.int64))
