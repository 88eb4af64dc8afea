"""What the gradient of one linear layer gives away of the inputs that it saw."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from .agreement import agreeing_rows
from .low_rank import LowRank
from .sparse_columns import sparse_columns

if TYPE_CHECKING:
    from torch import Tensor

    from .first_layer import FirstLayer

_LARGEST_VERIFIED = 64
_CLEAR = 10.0
_ALL_EXPLAINED = 1e-3
_TRIMS = 4


@dataclass(frozen=True, slots=True, eq=False)
class Leak:
    """Directions of the layer's inputs.

    Fields
    ------
    directions : rows [x | 1] up to scale, `[k, n]`, the surest first
    fits : which of them have the activation pattern of a record, `[k]` bool
    proved : which of them are exact as well: neurons agree on them, or all fit, `[k]` bool
    residual : share of the gradient that the directions leave unexplained, in [0, 1]
    """

    directions: Tensor
    fits: Tensor
    proved: Tensor
    residual: float


def leak(
    parts: LowRank,
    matrix: Tensor,
    limit: int | None,
    layer: FirstLayer,
    rng: torch.Generator,
    *,
    starts: int,
    passes: int,
    largest_search: int,
) -> Leak:
    """Return up to `limit` directions behind a gradient A = D X, `matrix` `[m, n]`.

    `parts` is its low rank, which is the limit where there is no other; `layer` says
    which of the m neurons an input turns on.
    """
    limit = limit or parts.rank
    solved = parts.basis
    if 1 < parts.rank <= largest_search and parts.rank < matrix.shape[1]:
        solved = _solve(parts, layer, rng, starts, passes)
    verifiable = parts.rank <= _LARGEST_VERIFIED
    fits = _none_of(solved)
    if verifiable:
        fits, _ = verify(parts, solved, layer)
    residual = _residual(matrix, solved)
    if bool(fits.all()) or (limit == 1 and residual < _ALL_EXPLAINED):
        fits = ~_none_of(solved)
        return Leak(solved, fits, fits, residual)
    agreed, support = agreeing_rows(matrix, parts.noise)
    exact = support > 2
    if verifiable and len(agreed):
        exact, _ = verify(parts, agreed, layer)
    directions = torch.cat([agreed, solved])
    fits = torch.cat([exact, fits])
    proved = torch.cat([exact, _none_of(solved)])
    order = torch.argsort(-(2 * proved.to(torch.int64) + fits), stable=True)
    kept = order[_distinct(directions[order])][:limit]
    return Leak(directions[kept], fits[kept], proved[kept], residual)


def _none_of(directions: Tensor) -> Tensor:
    return torch.zeros(len(directions), dtype=torch.bool)


def _solve(
    parts: LowRank,
    layer: FirstLayer,
    rng: torch.Generator,
    starts: int,
    passes: int,
) -> Tensor:
    """Return directions X = Q^-1 R `[r, n]` for the sparse columns Q that could be found.

    Where a direction passes `verify`, its pattern gives its own column better than the
    search did, which may mend other directions: repeat while that is so.
    """
    length = parts.rows.norm(dim=1)
    clear = length > max(_CLEAR * parts.noise * parts.rank**0.5, 1e-9 * float(length.max()))
    if int(clear.sum()) < 4 * parts.rank:
        clear = length >= length.sort().values[-min(len(length), 16 * parts.rank)]
    found = sparse_columns(parts.rows[clear], parts.noise, rng, starts=starts, passes=passes)
    q = _completed(found.q)
    verified = 0
    for _ in range(4):
        directions = torch.linalg.solve(q, parts.basis)
        fits, columns = verify(parts, directions, layer)
        if int(fits.sum()) <= verified:
            break
        verified = int(fits.sum())
        mended = torch.where(fits, columns, q)
        if float(torch.linalg.svdvals(mended)[-1]) < 1e-6:
            break
        q = mended
    return torch.linalg.solve(q, parts.basis)


def verify(parts: LowRank, directions: Tensor, layer: FirstLayer) -> tuple[Tensor, Tensor]:
    """Return which directions `[k, n]` are proved `[k]`, and the column of Q each implies `[r, k]`.

    A record leaves its inactive neurons' rows to the others, so one q vanishes on all of
    those rows, up to noise, and on no other: the rows of a wrong pattern have full rank,
    or leave zeros over. A share `layer.shift` of the rows may differ.
    """
    rows, noise = parts.rows, 6 * parts.noise
    on = layer.active(directions)
    off = (~on).to(rows.dtype)
    outer = (rows[:, :, None] * rows[:, None, :]).flatten(1)
    q = torch.linalg.eigh(_normal(off, outer))[1][:, :, 0]
    for _ in range(_TRIMS):
        weights = off / ((q @ rows.T).square() + noise**2)
        q = torch.linalg.eigh(_normal(weights, outer))[1][:, :, 0]
    zero = (q @ rows.T).abs() < noise
    values = torch.linalg.eigvalsh(_normal(off * zero, outer))
    count = (~on).sum(dim=1)
    vanish = (zero & ~on).sum(dim=1) >= (1 - layer.shift) * count
    alone = values[:, 1] > 100 * values[:, 0].clamp_min(0) if parts.rank > 1 else vanish
    live = on & (rows.norm(dim=1) > 50 * noise)
    complete = (live & zero).sum(dim=1) <= 1 + layer.shift * live.sum(dim=1)
    heard = (live.sum(dim=1) > parts.rank + 1) & (count > parts.rank + 1)
    return vanish & alone & complete & heard, q.T


def _normal(weights: Tensor, outer: Tensor) -> Tensor:
    rank = math.isqrt(outer.shape[1])
    return (weights @ outer).view(-1, rank, rank)


def _completed(q: Tensor) -> Tensor:
    """Return `q` `[r, k]` with orthonormal columns added until it is square."""
    rank, known = q.shape
    if known == rank:
        return q
    complement = torch.linalg.svd(q, full_matrices=True)[0][:, known:]
    return torch.cat([q, complement], dim=1)


def _distinct(directions: Tensor) -> Tensor:
    """Return the first index of each group of parallel directions."""
    unit = torch.nn.functional.normalize(directions, dim=1)
    same = (unit @ unit.T).abs() > 1 - 1e-6
    return (~same.tril(-1).any(dim=1)).nonzero()[:, 0]


def _residual(matrix: Tensor, directions: Tensor) -> float:
    """Return the share of the matrix's norm outside the directions' span, 1 where it is 0."""
    size = matrix.norm()
    if not size > 0:
        return 1.0
    basis = torch.linalg.qr(directions.T)[0]
    return float((matrix - (matrix @ basis) @ basis.T).norm() / size)
