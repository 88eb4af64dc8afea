"""Limited-memory BFGS for several searches at once, with few and large operations.

The inverse Hessian is in compact form (Byrd, Nocedal & Schnabel 1994, theorem 2.2): with the
steps S, the changes of slope Y, R the upper triangle of S Y^T, D its diagonal and c = s.y / y.y
of the last pair,

    H g = c g + S^T R^-T ((D + c Y Y^T) R^-1 S g - c Y g) - c Y^T R^-1 S g.

A loop over pairs does the same in hundreds of small operations, which cost more than a
gradient does. A step is halved until it meets the condition of Armijo.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    Evaluate = Callable[[Tensor], tuple[Tensor, Tensor]]

_ENOUGH = 1e-4
_SHORTER = 0.4
_LEAST_LENGTH = 1e-6
_CURVED = 1e-10


class _Memory:
    """The last pairs of steps and changes of slope of each search, `[searches, pairs, n]`."""

    def __init__(self, searches: int, size: int, most: int, like: Tensor) -> None:
        # The oldest half is dropped at once, so that few copies are made.
        self._rows, self._keep, self._filled = 2 * most, most, 0
        self._steps = like.new_zeros(searches, self._rows, size)
        self._changes = torch.zeros_like(self._steps)
        self._products = like.new_zeros(searches, self._rows, self._rows)
        self._squares = torch.zeros_like(self._products)
        self._scale = like.new_zeros(searches)

    def forget(self, which: Tensor) -> None:
        """Drop all pairs of some searches, a mask `[searches]`."""
        for held in (self._steps, self._changes, self._products, self._squares, self._scale):
            held[which] = 0

    def add(self, steps: Tensor, changes: Tensor) -> None:
        """Take a pair for each search, `[searches, n]`; one without curvature is left out."""
        curvature = (steps * changes).sum(1)
        square = changes.square().sum(1)
        valid = curvature > _CURVED * square
        if not bool(valid.any()):
            return
        if self._filled == self._rows:
            self._drop()
        steps, changes = steps * valid[:, None], changes * valid[:, None]
        row = self._filled
        self._filled += 1
        self._steps[:, row], self._changes[:, row] = steps, changes
        held = slice(0, self._filled)
        self._products[:, held, row] = (self._steps[:, held] @ changes[:, :, None])[..., 0]
        along = (self._changes[:, held] @ changes[:, :, None])[..., 0]
        self._squares[:, held, row] = along
        self._squares[:, row, held] = along
        self._scale = torch.where(valid, curvature / square.clamp_min(1e-30), self._scale)

    def times(self, slopes: Tensor) -> Tensor:
        """Return the inverse Hessians times slopes `[searches, n]`."""
        held = slice(0, self._filled)
        steps, changes = self._steps[:, held], self._changes[:, held]
        scale = self._scale[:, None, None]
        upper = self._products[:, held, held]
        diagonal = upper.diagonal(dim1=1, dim2=2)
        # Pairs that were left out are rows of zeros: any diagonal will do for them.
        upper = upper + torch.diag_embed((diagonal == 0).to(upper.dtype))
        column = slopes[:, :, None]
        solved = torch.linalg.solve_triangular(upper, steps @ column, upper=True)
        inner = diagonal[:, :, None] * solved + scale * (self._squares[:, held, held] @ solved)
        inner = torch.linalg.solve_triangular(
            upper.mT, inner - scale * (changes @ column), upper=False
        )
        out = scale * (column - changes.mT @ solved) + steps.mT @ inner
        return out[..., 0]

    def _drop(self) -> None:
        rows, keep = slice(self._rows - self._keep, self._rows), slice(0, self._keep)
        for held in (self._steps, self._changes):
            held[:, keep] = held[:, rows].clone()
        for held in (self._products, self._squares):
            held[:, keep, keep] = held[:, rows, rows].clone()
        self._filled = self._keep
        # The products' lower triangle is never read.

    @property
    def known(self) -> Tensor:
        """Which searches have a pair, `[searches]`."""
        return self._scale > 0


@dataclass(frozen=True, kw_only=True, slots=True)
class QuasiNewton:
    """A descent by L-BFGS.

    Fields
    ------
    steps : most evaluations
    history : pairs that are kept of the curvature, at least
    first : mean absolute change of a value in the first step
    floor : value at which a search ends
    """

    steps: int
    history: int
    first: float
    floor: float

    def __call__(self, evaluate: Evaluate, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return where searches get to from `x` `[searches, ...]`, and the values there.

        `evaluate` gives values `[searches]` and their slopes, as large as `x`. The search
        ends when no value is above the floor, or none can be lowered.
        """
        values, found = evaluate(x)
        slopes = found.flatten(1)
        memory = _Memory(len(x), slopes.shape[1], self.history, slopes)
        length = torch.ones_like(values)
        done = values <= self.floor
        for _ in range(self.steps - 1):
            direction = self._direction(memory, slopes)
            steepness = (direction * slopes).sum(1)
            stuck = ((length < _LEAST_LENGTH) | ~(steepness < 0)) & ~done
            if bool(stuck.any()):
                # From the slope alone there may still be a way down; without pairs there is none.
                done = done | (stuck & ~memory.known)
                memory.forget(stuck)
                length = torch.where(stuck, torch.ones_like(length), length)
                direction = self._direction(memory, slopes)
                steepness = (direction * slopes).sum(1)
            if bool(done.all()):
                break
            moved = length[:, None] * direction
            trial = x + moved.view(x.shape)
            at, found = evaluate(trial)
            lower = (at <= values + _ENOUGH * length * steepness) & ~done
            length = torch.where(lower, torch.ones_like(length), length * _SHORTER)
            if not bool(lower.any()):
                continue
            keep = lower[:, None]
            new = torch.where(keep, found.flatten(1), slopes)
            memory.add(moved * keep, new - slopes)
            x = torch.where(lower.view(-1, *[1] * (x.ndim - 1)), trial, x)
            values, slopes = torch.where(lower, at, values), new
            done = done | (values <= self.floor)
        return x, values

    def _direction(self, memory: _Memory, slopes: Tensor) -> Tensor:
        known = memory.known
        plain = slopes * (self.first / slopes.abs().mean(1, keepdim=True).clamp_min(1e-30))
        if not bool(known.any()):
            return -plain
        return -torch.where(known[:, None], memory.times(slopes), plain)
