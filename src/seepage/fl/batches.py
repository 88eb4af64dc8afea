"""Which records a client draws for each local step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ..core.errors import RefusedError
from ..core.task import Records

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import Tensor

    from ..core.defense import Defense


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


class Cycle:
    """Epochs that all go through the records in one shuffled order, in batches of `size`.

    So `n // size` steps or more lie between two uses of a record, in any two epochs, which is
    what noise that is correlated over steps is cheapest against.
    """

    def __init__(self, n: int, size: int, rng: torch.Generator) -> None:
        self.n, self.size, self._next = n, size, 0
        self._order = torch.arange(n) if size == n else torch.randperm(n, generator=rng)

    def draw(self) -> Tensor:
        """Return the indices of the next batch, int64 `[size]`."""
        places = torch.arange(self._next, self._next + self.size) % self.n
        self._next = (self._next + self.size) % self.n
        return self._order[places]


Draws = Epochs | Poisson | Cycle


def draws_of(defenses: Sequence[Defense], n: int, size: int, rng: torch.Generator) -> Draws:
    """Return how a client with `n` records draws batches of (expected) `size`.

    Shuffled epochs, unless a defense needs otherwise; `RefusedError` where two differ.
    """
    poisson = [d for d in defenses if d.poisson]
    ordered = [d for d in defenses if d.same_order]
    if poisson and ordered:
        raise RefusedError(
            f"{poisson[0].card.name} needs batches drawn by Poisson sampling, and "
            f"{ordered[0].card.name} epochs in one order: keep one of them"
        )
    kind = Poisson if poisson else Cycle if ordered else Epochs
    return kind(n, size, rng)


def cohort_of(clients: int, size: int, rng: torch.Generator) -> tuple[int, ...]:
    """Return `size` distinct clients in ascending order, every set equally likely."""
    if size == clients:
        return tuple(range(clients))
    return tuple(sorted(torch.randperm(clients, generator=rng)[:size].tolist()))


def distinct(batches: Iterable[Records]) -> Records:
    """Return the records of some batches, each row once."""
    joined = Records.joined(batches)
    first = {row: i for i, row in reversed(list(enumerate(joined.rows.tolist())))}
    return joined.take(torch.tensor(sorted(first.values()), dtype=torch.int64))
