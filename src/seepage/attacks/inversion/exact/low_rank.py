"""Splits a layer's gradient into signal and noise by its singular values."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_FLOAT32 = 6e-8
_ABOVE_NOISE = 1.05  # the edge of noise alone, with its fluctuations


@dataclass(frozen=True, slots=True, eq=False)
class LowRank:
    """A matrix as `rows @ basis` plus noise.

    Fields
    ------
    rows : `[m, r]`
    basis : `[r, n]`, orthonormal
    noise : standard deviation of each entry, from the singular values left over
    drowned : whether not even the greatest singular value exceeds what noise alone gives
    """

    rows: Tensor
    basis: Tensor
    noise: float
    drowned: bool = False

    @property
    def rank(self) -> int:
        """Return r."""
        return len(self.basis)


def low_rank(matrix: Tensor, limit: int | None) -> LowRank:
    """Return the part of `matrix` `[m, n]` that stands out of its own noise, 1 <= r <= limit.

    A singular value stands out where it exceeds 1.5 times the edge that noise alone
    reaches, sigma (sqrt(m) + sqrt(n)) (Marchenko & Pastur 1967). Where `limit` leaves no
    singular value over, noise is taken to be that of float32. Without a limit, up to half
    of the singular values can stand out.
    """
    m, n = matrix.shape
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    edge = m**0.5 + n**0.5
    rounding = _FLOAT32 * float(s[0]) / edge
    if limit is None:
        limit = max(1, int((s > 1e-12 * s[0]).sum()) // 2)
    rank, noise = len(s), rounding
    if limit < len(s):
        for rank in range(limit, 0, -1):
            tail = s[rank:].square().sum() / ((m - rank) * (n - rank))
            noise = max(float(tail.sqrt()), rounding)
            if float(s[rank - 1]) > 1.5 * noise * edge:
                break
    alone = float(s.square().sum().div(m * n).sqrt()) * edge
    return LowRank(
        rows=u[:, :rank] * s[:rank],
        basis=v[:rank],
        noise=noise,
        drowned=float(s[0]) <= _ABOVE_NOISE * alone,
    )
