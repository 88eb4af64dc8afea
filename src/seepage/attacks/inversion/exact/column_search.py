"""Searches all columns of D within a budget of passes, each proved by a half-space.

The zeros of a true column are the neurons that its record leaves off, so a half-space of
the row space explains them (`half_spaces.py`); any candidate that no half-space explains is
dropped, however sparse it is. Each pass has two searches:

- descents on sparsity (`sparse_columns.py`), in which a neuron weighs (1 - u)^p, u being
  how often it seems to be on: neurons that every record switches on lie in few dimensions
  (those of the loss's gradient), so that wrong columns vanish on all of them;
- descents on records: a record a is orthogonal to all columns of Q but its own, so the
  columns found confine the missing records to few dimensions, and the last one to a line.
  A guess of a says which neurons are off, a column q is fitted to vanish on them, and a
  half-space fitted to the zeros of L q is a better guess.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import normalize

from .half_spaces import HalfSpaces
from .sparse_columns import Rows, descend, leftover, polish, scaled_rows

if TYPE_CHECKING:
    from torch import Tensor

_POWERS = (2.0, 1.0, 3.0, 0.0)
_CLEAR = 20.0
_GUESSES, _ROUNDS = 96, 4
_BLURS = (0.5, 0.25, 0.1, 0.03, 0.01, 1e-3, 1e-4, 1e-6)
_PRIOR_WEIGHT = 2.0
_MENDS = 4


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """What a search found.

    Fields
    ------
    q : unit columns `[k, r]`
    proved : whether there are r of them, each with the pattern of its record
    passes : the passes that it took
    """

    q: Tensor
    proved: bool
    passes: int


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ColumnSearch:
    """The rows L `[m, r]` of a gradient's low rank and what the model says of them.

    Fields
    ------
    rows : L
    noise : standard deviation of the entries of each row, `[m]`
    half_spaces : the neurons in coordinates of the row space
    scale : the direction `[r]` on which every record has a constant 1; None without a bias
    starts : descents a pass
    shift : share of neurons that a record's half-space may get wrong
    """

    rows: Tensor
    noise: Tensor
    half_spaces: HalfSpaces
    scale: Tensor | None
    starts: int
    shift: float

    def run(self, passes: int, rng: torch.Generator) -> Columns:
        """Return up to r independent columns, all of them proved, after `passes` at most."""
        rank = self.rows.shape[1]
        if rank == 1:
            return Columns(
                self.rows.new_ones((1, 1)), *self._proved(self.rows.new_ones((1, 1)))[1:], 0
            )
        table, clear = self._clear_rows()
        prior = self.half_spaces.usually_on(self.rows[clear], self.scale)
        found = self.rows.new_empty((0, rank))
        for turn in range(passes):
            records = self._records(found)
            known = self.half_spaces.on(records)
            usual = (_PRIOR_WEIGHT * prior + known.sum(0)) / (_PRIOR_WEIGHT + len(found))
            weight = (1 - usual[clear]).clamp_min(0.05) ** _POWERS[turn % len(_POWERS)]
            directions = table.unit if turn == 0 else leftover(table, found.T, turn, rng)
            few = max(self.starts // 4, 1) if turn == 0 else self.starts
            chosen = torch.randperm(len(directions), generator=rng)[:few]
            found = self._with(found, polish(table, descend(table, directions[chosen], weight)))
            for _ in range(rank):
                if len(found) == rank:
                    found, proved = self._proved(found)
                    if proved:
                        return Columns(found, True, turn + 1)
                    break
                before = found
                found = self._with(found, self._by_records(found, clear, rng))
                if len(found) == len(before):
                    break
        return Columns(found, False, passes)

    def zero(self, q: Tensor) -> Tensor:
        """Return which rows vanish on each q `[s, r]`, up to their noise, `[s, m]` bool."""
        size = q.norm(dim=1, keepdim=True)
        response = (q @ self.rows.T).abs()
        rounding = 4e-6 * self.rows.norm(dim=1) * response.square().mean(1, keepdim=True).sqrt()
        rounding = rounding / self.rows.square().sum(1).mean().sqrt()
        return response < 5 * self.noise * size + rounding

    def patterns(self, q: Tensor) -> tuple[Tensor, Tensor]:
        """Return the records `[r, r]` that columns q `[r, r]` make, and their patterns `[r, m]`."""
        records = torch.linalg.inv(q.T)
        if self.scale is None:
            on, zero = self.half_spaces.on(records), self.zero(q)
            backwards = (on == zero).sum(1) > (on != zero).sum(1)
        else:
            backwards = records @ self.scale < 0
        records = torch.where(backwards[:, None], -records, records)
        return records, self.half_spaces.on(records)

    def _proved(self, found: Tensor) -> tuple[Tensor, bool]:
        """Mend r columns until each has the pattern of its record; else return those that do.

        A column that is a mixture spoils another's record, but its own record is right:
        the neurons that this leaves off give the column that it stands for. A mixture that
        differs from its column in a row or two is mended so as well.
        """
        on, wrong = self._mismatch(found)
        for _ in range(_MENDS):
            if not bool(wrong.any()):
                break
            fitted = self._vanishing(~on)
            choices = [fitted, self._with(found, fitted)]
            whole = [q for q in choices if len(q) == len(found) and _spans(q)]
            scored = [(q, *self._mismatch(q)) for q in whole]
            scored = [entry for entry in scored if entry[2].sum() < wrong.sum()]
            if not scored:
                break
            found, on, wrong = min(scored, key=lambda entry: int(entry[2].sum()))
        matches = wrong <= 2 + self.shift * on.sum(dim=1)
        return (found, True) if bool(matches.all()) else (found[matches], False)

    def _mismatch(self, q: Tensor) -> tuple[Tensor, Tensor]:
        """Return the records' patterns `[r, m]` and how many rows of each column differ `[r]`."""
        _, on = self.patterns(q)
        return on, (on == self.zero(q)).sum(dim=1)

    def _clear_rows(self) -> tuple[Rows, Tensor]:
        """Return the rows that stand out of their noise, and which these are `[m]` bool."""
        length, rank = self.rows.norm(dim=1), self.rows.shape[1]
        clear = length > _CLEAR * self.noise * rank**0.5
        if int(clear.sum()) < 4 * rank:
            clear = length >= length.sort().values[-min(len(length), 16 * rank)]
            clear &= length > 0
        return scaled_rows(self.rows[clear], self.noise[clear]), clear

    def _records(self, q: Tensor) -> Tensor:
        """Return the records `[k, r]` whose half-spaces best explain the zeros of q `[k, r]`."""
        return self.half_spaces.separate(~self.zero(q))[0]

    def _with(self, found: Tensor, candidates: Tensor) -> Tensor:
        """Return `found` `[k, r]` and the candidates `[s, r]` that prove to be new columns."""
        if not len(candidates):
            return found
        candidates = torch.cat([found, candidates])
        zero = self.zero(candidates)
        wrong = self.half_spaces.separate(~zero)[1] * zero.shape[1]
        fewer = torch.minimum(zero.sum(1), (~zero).sum(1))
        proved = (wrong <= 2 + self.shift * fewer) & (fewer > self.rows.shape[1])
        order = (zero.sum(1) * proved).argsort(descending=True, stable=True)
        taken = found[:0]
        for i in order[: int(proved.sum())].tolist():
            q = normalize(candidates[i], dim=0)
            if len(taken) < taken.shape[1] and _independent(taken, q):
                taken = torch.cat([taken, q[None]])
        return taken

    def _by_records(self, found: Tensor, clear: Tensor, rng: torch.Generator) -> Tensor:
        """Return candidates `[s, r]` from guesses of records orthogonal to those found."""
        missing = found.shape[1] - len(found)
        basis = torch.linalg.svd(found, full_matrices=True)[2][len(found) :]
        confined = HalfSpaces(normalize(self.half_spaces.planes @ basis.T, dim=1))
        within = basis.new_ones((1, 1))
        if missing > 1:
            within = torch.cat(
                [self._peeled(found, clear, rng) @ basis.T, _vertices(confined.planes, rng)]
            )
        if self.scale is None:
            within = torch.cat([within, -within])
        else:
            constant = (within @ basis) @ self.scale
            within = within * torch.where(constant < 0, -1.0, 1.0)[:, None]
        q = self._vanishing(~confined.on(within))
        for _ in range(_ROUNDS if missing > 1 else 0):
            within, _ = confined.separate(~self.zero(q))
            q = self._vanishing(~confined.on(within))
        return q

    def _peeled(self, found: Tensor, clear: Tensor, rng: torch.Generator) -> Tensor:
        """Return rows of the gradient less what the records found put into them, `[s, r]`.

        Where one missing record alone is active, what is left is this record.
        """
        chosen = torch.randperm(int(clear.sum()), generator=rng)[:_GUESSES]
        rows = self.rows[clear][chosen]
        if not len(found):
            return rows
        records = self._records(found)
        own = (records * found).sum(dim=1, keepdim=True)
        return rows - (rows @ found.T) @ (records / own)

    def _vanishing(self, off: Tensor) -> Tensor:
        """Return unit q `[s, r]` that vanish on as many as can be of the rows `off` `[s, m]`.

        Responses L q of mean square 1 are compared, else the columns of weak records, small
        on all rows, would always win.
        """
        length = self.rows.norm(dim=1)
        live = length > _CLEAR * self.noise
        unit = self.rows[live] / length[live, None]
        values, vectors = torch.linalg.eigh(unit.T @ unit / len(unit))
        whiten = vectors / values.clamp_min(1e-15 * float(values[-1])).sqrt()
        white = unit @ whiten
        outer = (white[:, :, None] * white[:, None, :]).flatten(1)
        mask = off[:, live].to(unit.dtype)
        p = torch.linalg.eigh(_normal(mask, outer))[1][:, :, 0]
        for blur in _BLURS:
            noise = self.noise[live] / length[live] * (p @ whiten.T).norm(dim=1, keepdim=True)
            weights = mask / ((p @ white.T).square() + noise.square() + blur**2)
            p = torch.linalg.eigh(_normal(weights, outer))[1][:, :, 0]
        return normalize(p @ whiten.T, dim=1)


def _normal(weights: Tensor, outer: Tensor) -> Tensor:
    rank = math.isqrt(outer.shape[1])
    normal = (weights @ outer).view(-1, rank, rank)
    return normal / normal.diagonal(dim1=1, dim2=2).mean(1).clamp_min(1e-300)[:, None, None]


def _vertices(planes: Tensor, rng: torch.Generator) -> Tensor:
    """Return directions `[s, k]` on which k - 1 random neurons of `[m, k]` are at their edge.

    Neurons' edges run between records, so such points lie about where records do.
    """
    count = planes.shape[1] - 1
    chosen = torch.randint(len(planes), (_GUESSES, count), generator=rng)
    return torch.linalg.svd(planes[chosen], full_matrices=True)[2][:, -1]


def _spans(q: Tensor) -> bool:
    return bool(q.isfinite().all()) and float(torch.linalg.svdvals(q)[-1]) > 1e-12


def _independent(known: Tensor, q: Tensor) -> bool:
    return float(torch.linalg.svdvals(torch.cat([known, q[None]]))[-1]) > 1e-4
