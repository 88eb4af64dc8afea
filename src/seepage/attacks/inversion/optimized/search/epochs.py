"""Which records stand where in the local steps of a client, as far as an observer knows.

A client goes through its records in shuffled epochs. Its steps have room for
steps x batch records, its slots, one batch after the other. Where it holds at least that
many, each slot holds a record of its own. Where it holds fewer, each epoch of its slots
holds the same records in another order: the guessed epochs are pulled towards each other
by a measure that does not see the order, their mean input, and are matched and averaged in
the end (Dimitrov et al. 2022, "Data Leakage in Federated Averaging", arXiv 2206.12395,
sections 4.2 and 4.3). Where it holds just one batch, every step sees that batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from .....metrics.matching import match

if TYPE_CHECKING:
    from torch import Tensor

# Distance between labels that no distance between inputs outweighs when epochs are matched.
_APART = 1e4


@dataclass(frozen=True, kw_only=True, slots=True)
class Epochs:
    """The slots of `steps` batches of `batch`, filled with `records` records in epochs."""

    steps: int
    batch: int
    records: int

    @property
    def slots(self) -> int:
        """Return how many records all steps have room for."""
        return self.steps * self.batch

    @property
    def free(self) -> int:
        """Return how many inputs are to be guessed."""
        return self.batch if self.records == self.batch else self.slots

    def spread(self, inputs: Tensor) -> Tensor:
        """Return the inputs `[slots, *shape]` of all slots, given the free ones."""
        if self.free == self.slots:
            return inputs
        return inputs.repeat(self.steps, *[1] * (inputs.ndim - 1))

    @property
    def ordered(self) -> bool:
        """Return whether it matters which record stands in which step, and is not known."""
        return self.steps > 1 and self.free == self.slots

    def order(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Return the labels `[slots]` of all slots, each epoch in a random order.

        `labels` are those of the records, `[records]`.
        """
        if not self.ordered:
            return labels.repeat(self.slots // self.records)
        epochs = -(-self.slots // self.records)
        shuffled = [labels[torch.randperm(self.records, generator=rng)] for _ in range(epochs)]
        return torch.cat(shuffled)[: self.slots]

    def swap(self, rng: torch.Generator) -> Tensor:
        """Return all slots `[slots]`, two of one epoch but different steps exchanged."""
        slots = torch.arange(self.slots)
        one = int(torch.randint(self.slots, (), generator=rng))
        same = slots // self.records == one // self.records
        others = slots[same & (slots // self.batch != one // self.batch)]
        if len(others):
            other = int(others[int(torch.randint(len(others), (), generator=rng))])
            slots[[one, other]] = slots[[other, one]]
        return slots

    def disagreement(self, inputs: Tensor) -> Tensor:
        """Return the mean squared distance of the full epochs' mean inputs, a scalar."""
        full = self.slots // self.records
        if self.free < self.slots or full < 2:
            return inputs.new_zeros(())
        means = inputs[: full * self.records].unflatten(0, (full, self.records)).mean(1)
        return (means - means.mean(0)).square().mean()

    def merge(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the records `[records, *shape]` and their labels behind all slots.

        Records of one label in different epochs are paired by distance and averaged.
        """
        if self.free < self.slots:
            return inputs, labels[: self.batch]
        if self.records >= self.slots:
            return inputs, labels
        first, names = inputs[: self.records], labels[: self.records]
        total, count = first.clone(), torch.ones(self.records)
        keys = torch.cat([first.flatten(1), names[:, None] * _APART], dim=1)
        for x, y in zip(
            inputs[self.records :].split(self.records),
            labels[self.records :].split(self.records),
            strict=True,
        ):
            pairs = match(torch.cat([x.flatten(1), y[:, None] * _APART], dim=1), keys)
            theirs, ours = (list(column) for column in zip(*pairs, strict=True))
            total[ours] += x[theirs]
            count[ours] += 1
        return total / count.view(-1, *[1] * (inputs.ndim - 1)), names
