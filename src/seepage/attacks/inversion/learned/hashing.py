"""Signed hashing: long updates to shorter ones that keep inner products on average.

Every coordinate goes, with a random sign, into one bucket, and buckets hold equally many
(Weinberger et al. 2009, arXiv 0902.2206; for gradients Wu et al. 2023, arXiv 2210.10880).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True, slots=True, eq=False)
class SignedHash:
    """Sums `size` randomly chosen and signed coordinates into each bucket.

    Fields
    ------
    order : the coordinates in the order of their buckets, `[p]`; empty where nothing is hashed
    signs : 1 or -1 for each of them, `[p]`
    size : coordinates a bucket; noise on them grows by its square root
    """

    order: Tensor
    signs: Tensor
    size: int

    @classmethod
    def of(cls, coordinates: int, buckets: int, rng: torch.Generator) -> SignedHash:
        """Return a hash to at most `buckets` buckets: the identity where they are enough."""
        size = math.ceil(coordinates / buckets)
        if size == 1:
            return cls(torch.empty(0, dtype=torch.int64), torch.empty(0), 1)
        signs = torch.randint(0, 2, (coordinates,), generator=rng).float() * 2 - 1
        return cls(torch.randperm(coordinates, generator=rng), signs, size)

    def __call__(self, updates: Tensor) -> Tensor:
        """Return updates `[n, p]` as `[n, buckets]`."""
        if self.size == 1:
            return updates
        signed = updates[:, self.order] * self.signs.to(updates.dtype)
        missing = -signed.shape[1] % self.size
        return F.pad(signed, (0, missing)).unflatten(1, (-1, self.size)).sum(2)
