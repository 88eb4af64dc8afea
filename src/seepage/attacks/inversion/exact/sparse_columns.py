"""Finds the sparse columns of D from a basis of its column space.

A linear layer's gradient is `D X`, with one column of D for each record, and D is zero
where the record leaves a neuron off. So D = L Q for a basis L of the gradient's column
space, and the wanted columns of Q are the vectors q for which L q has the most zeros
(Dimitrov et al. 2024, "SPEAR", arXiv 2403.03945). SPEAR draws rows until it meets such
a q; here each row of L starts one descent instead (the constraint of ER-SpUD, Spielman
et al. 2012, arXiv 1206.5882), by iteratively reweighted least squares on

    sum_j log(z_j^2 + eps^2 + tau_j^2),   z = L q / ||L||_row,   c^T q = 1,

with eps annealed to 0 and tau_j the noise of row j, so that noise blunts the search
instead of breaking it. Later passes start from what the columns found so far leave over.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

_FLOOR = 1e-6  # relative error of arithmetic that no noise estimate sees
_AS_SPARSE = 0.6
_START, _DECAY, _STEPS, _MERGE = 0.6, 0.85, 50, 25


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SparseColumns:
    """Vectors q as columns `[r, k]`, the zeros of each `[k]`, and who is beyond chance `[k]`.

    A column is `certain` where more rows vanish on it than any choice of rows forces,
    and no single row carries it.
    """

    q: Tensor
    zeros: Tensor
    certain: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows of L as the search reads them; see `scaled_rows`.

    Fields
    ------
    unit : the rows at unit length `[m, r]`
    length : their lengths `[m]`
    outer : the outer products of the unit rows, `[m, r * r]`
    noise : the standard deviation of each entry of L, for all rows or for each `[m]`
    """

    unit: Tensor
    length: Tensor
    outer: Tensor
    noise: float | Tensor

    def responses(self, q: Tensor) -> tuple[Tensor, Tensor]:
        """Return z `[s, m]` scaled to mean square 1, and the noise of each entry."""
        z = q @ self.unit.T
        scale = z.square().mean(dim=1, keepdim=True).sqrt().clamp_min(1e-300)
        noise = self.noise * q.norm(dim=1, keepdim=True) / scale / self.length + _FLOOR
        return z / scale, noise

    def zero(self, q: Tensor) -> Tensor:
        """Return which rows vanish on each q up to their noise, `[s, m]` bool."""
        z, noise = self.responses(q)
        return (z.abs() < 4 * noise) & (noise < 0.05)


def sparse_columns(
    rows: Tensor, noise: float, rng: torch.Generator, *, starts: int = 512, passes: int = 5
) -> SparseColumns:
    """Return up to r independent q `[r, k]` for rows L `[m, r]`, the surest first.

    `noise` is the standard deviation of each entry of L. Cost: `starts * m * r^2` a step,
    fifty steps a pass.
    """
    table = scaled_rows(rows, noise)
    rank = rows.shape[1]
    directions = table.unit
    pool = rows.new_empty((0, rank))
    found = _select(table, pool)
    for turn in range(passes):
        few = starts // 8 if turn == 0 else starts
        chosen = torch.randperm(len(directions), generator=rng)[:few]
        pool = torch.cat([pool, polish(table, descend(table, directions[chosen]))])
        found = _select(table, pool)
        if int(found.certain.sum()) == rank:
            break
        if turn > 0:
            directions = leftover(table, found.q[:, found.certain], turn, rng)
    return found


def scaled_rows(rows: Tensor, noise: float | Tensor) -> Rows:
    """Return rows L `[m, r]`, none of them zero, as the search reads them."""
    length = rows.norm(dim=1)
    unit = rows / length[:, None]
    return Rows(unit, length, (unit[:, :, None] * unit[:, None, :]).flatten(1), noise)


def descend(rows: Rows, constraints: Tensor, weight: float | Tensor = 1.0) -> Tensor:
    """Minimize the log penalty from each constraint c `[s, r]`; return unit q `[<= s, r]`.

    `weight`, for all rows or for each `[m]`, says how much a zero of the row counts.
    """
    q = constraints
    weights = weight * rows.unit.new_ones((len(constraints), len(rows.unit)))
    for step in range(_STEPS):
        normal = _normal(weights, rows.outer)
        q = torch.linalg.solve_ex(normal, constraints[:, :, None])[0][:, :, 0]
        q = q / q.norm(dim=1, keepdim=True).clamp_min(1e-300)
        z, noise = rows.responses(q)
        if step == _MERGE:
            distinct = _distinct(z)
            q, z, noise, constraints = (t[distinct] for t in (q, z, noise, constraints))
        weights = weight / (z.square() + noise.square() + (_START * _DECAY**step) ** 2)
    return q[q.isfinite().all(dim=1)]


def _normal(weights: Tensor, outer: Tensor) -> Tensor:
    """Return sum_j w_j l_j l_j^T for each row of weights, scaled to unit mean diagonal."""
    rank = math.isqrt(outer.shape[1])
    normal = (weights @ outer).view(-1, rank, rank)
    mean = normal.diagonal(dim1=1, dim2=2).mean(1)[:, None, None]
    return normal / mean + 1e-13 * torch.eye(rank, dtype=outer.dtype)


def _distinct(z: Tensor) -> Tensor:
    """Return the first index of each group of responses `[s, m]` that have met."""
    same = (z @ z.T).abs() > (1 - 1e-3) * z.shape[1]
    return (~same.tril(-1).any(dim=1)).nonzero()[:, 0]


def polish(rows: Rows, q: Tensor) -> Tensor:
    """Refit each q `[s, r]` to the rows that vanish on it, weighted by their precision."""
    rank = rows.unit.shape[1]
    precise = rows.outer * (rows.length / rows.noise).square()[:, None]
    for _ in range(3):
        zero = rows.zero(q)
        values, vectors = torch.linalg.eigh((zero.to(q.dtype) @ precise).view(-1, rank, rank))
        fits = (zero.sum(1) >= rank) & (values[:, 1] > 1e-9 * values[:, -1])
        q = torch.where(fits[:, None], vectors[:, :, 0], q)
    return q


def _leverage(rows: Rows, q: Tensor, zero: Tensor) -> Tensor:
    """Return how far one row alone holds up the plane that vanishes on q, `[s]`; 1: it does."""
    rank = rows.unit.shape[1]
    normal = (zero.to(q.dtype) @ rows.outer).view(-1, rank, rank)
    values, vectors = torch.linalg.eigh(normal)
    spread = torch.einsum("mi,sij->smj", rows.unit, vectors[:, :, 1:]).square()
    carried = (spread / values[:, None, 1:].clamp_min(1e-12)).sum(dim=2)
    return (carried * zero).amax(dim=1)


def _select(rows: Rows, q: Tensor) -> SparseColumns:
    """Take independent q greedily by the evidence that their zeros are zeros."""
    rank = rows.unit.shape[1]
    taken: list[int] = []
    certain: list[bool] = []
    zeros = rows.zero(q) if len(q) else q.new_zeros((0, len(rows.unit)), dtype=torch.bool)
    if len(q):
        z, noise = rows.responses(q)
        evidence = (torch.log(1 / noise.clamp_max(1)) - (z / noise).square() / 8).clamp_min(0)
        score = evidence.sum(dim=1)
        sure = (zeros.sum(1) > rank + 1) & (_leverage(rows, q, zeros) < 0.9)
        score = torch.where(sure, score, score * 1e-3)
        rest = z / z.norm(dim=1, keepdim=True)
        for _ in range(rank):
            best = int(score.argmax())
            if score[best] <= 0:
                break
            taken.append(best)
            certain.append(bool(sure[best]))
            axis = rest[best] / rest[best].norm()
            rest = rest - (rest @ axis)[:, None] * axis
            score = torch.where(rest.norm(dim=1) < 0.05, torch.zeros_like(score), score)
    index = torch.tensor(taken, dtype=torch.int64)
    count = zeros[index].sum(1)
    top = int(count.max()) if taken else 0
    sure_mask = torch.tensor(certain, dtype=torch.bool) & (count >= _AS_SPARSE * top)
    order = torch.argsort((~sure_mask).to(torch.int64), stable=True)
    return SparseColumns(q=q[index[order]].T, zeros=count[order], certain=sure_mask[order])


def leftover(rows: Rows, known: Tensor, turn: int, rng: torch.Generator) -> Tensor:
    """Return new constraints `[s, r]`: the rows less what the known q `[r, k]` account for."""
    directions = rows.unit
    if known.shape[1]:
        basis = torch.linalg.qr(known)[0]
        directions = directions - (directions @ basis) @ basis.T
    if turn % 2 or not known.shape[1]:
        jitter = torch.randn(directions.shape, generator=rng, dtype=directions.dtype)
        directions = directions + 0.3 * directions.std() * jitter
    length = directions.norm(dim=1, keepdim=True)
    return (directions / length)[length[:, 0] > 1e-6]
