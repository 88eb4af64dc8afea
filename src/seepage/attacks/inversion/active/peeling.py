"""Takes records out of bins one by one, as an invertible Bloom lookup table is read.

A bin that holds one record shows it. In every other measurement that record falls into a known
bin and adds the same row, so it can be subtracted there, which may leave another record alone:
collisions are resolved until no bin shows a record (Goodrich & Mitzenmacher 2011, arXiv
1101.2245, for sets). With one measurement there is nothing to subtract from.

A record is sure where the model itself proves it (`own_gradient.py`) or, where models can't,
where two measurements show the same one. Without either the clearest is taken on trial: a
wrong one leaves its negative in other bins, by which it is found out and put back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from .bins import Bins

_HEARD = 6.0
_SAME = 2e-3
_TRUSTED = 0.3
_REPAIRS = 24
_DOUBT = 0.2


@dataclass(frozen=True, slots=True, eq=False)
class Peeled:
    """The records that were found.

    Fields
    ------
    rows : c [x, 1], `[m, n + 1]`
    labels : by which the model proves a record, -1 where it does not, `[m]`
    sure : whether it is proved, or two measurements agree on it, `[m]` bool
    alone : whether it had a bin of some measurement to itself, `[m]` bool
    left : bins that hold something which is no record alone
    """

    rows: Tensor
    labels: Tensor
    sure: Tensor
    alone: Tensor
    left: int


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    row: Tensor
    falls: Tensor
    key: tuple[int, ...]
    label: int
    sure: bool


class Peeling:
    """The state of one decoding; see the module."""

    def __init__(
        self,
        bins: Bins,
        plausible: Callable[[Tensor, Tensor], Tensor],
        label_of: Callable[[Tensor, Tensor, Tensor], Tensor],
        *,
        steady: bool,
    ) -> None:
        """`plausible(rows, noise)` `[m]` bool; `label_of(rows, noise, bin)` `[m]`, -1 for none.

        `steady`: every record adds to all of its bins. After a first local step a bin that
        it filled may be deaf to the next batch.
        """
        self.steady = steady
        self.bins, self.plausible, self.label_of = bins, plausible, label_of
        self.rest, self.noise = bins.rows.clone(), bins.noise.clone()
        self.found: list[_Found] = []
        self.banned: set[tuple[int, ...]] = set()
        self.trusted = False

    def run(self, limit: int) -> Peeled:
        """Return up to `limit` records (0: no limit)."""
        limit = limit or len(self.rest)
        best, least = list[_Found](), len(self.rest) + 1
        for _ in range(_REPAIRS):
            while len(self.found) < limit and self._take(limit):
                pass
            left = int(self._heard().sum())
            if left < least:
                best, least = list(self.found), left
            if not left or self.trusted:
                break
            if not self._put_back():
                if not self.banned:
                    break
                self.banned.clear()
        return self._peeled(best, least)

    def _heard(self) -> Tensor:
        return self.rest.square().mean(1).sqrt() > _HEARD * self.noise

    def _take(self, limit: int) -> bool:
        """Take all records that are sure, or else the clearest plausible one; False for none."""
        heard = self._heard()
        here = heard.nonzero()[:, 0]
        rows, noise = self.rest[here], self.noise[here]
        fits = self.bins.hold(rows, noise, here) & self.plausible(rows, noise)
        here, rows, noise = here[fits], rows[fits], noise[fits]
        falls = self.bins.falls_into(rows)
        falls[torch.arange(len(here)), here] = True
        keys = [tuple(f.nonzero()[:, 0].tolist()) for f in falls]
        known = self.banned | {f.key for f in self.found}
        fresh = torch.tensor([k not in known for k in keys], dtype=torch.bool)
        fresh &= (heard | ~falls).all(1)
        if not bool(fresh.any()):
            return False
        labels = self.label_of(rows, noise, here)
        if not self.found:
            self.trusted = int((labels >= 0).sum()) > _TRUSTED * len(labels)
        sure = labels >= 0 if self.trusted else self._agree(rows, noise, falls)
        order = [k for k in (noise / rows.norm(dim=1)).argsort().tolist() if bool(fresh[k])]
        chosen = [k for k in order if bool(sure[k])]
        if not chosen and not self.trusted:
            chosen = order[:1]
        for k in chosen:
            if keys[k] not in known and len(self.found) < limit:
                known.add(keys[k])
                heard_in = falls[k] if self.steady else falls[k] & self._hears(rows[k])
                one = _Found(rows[k], heard_in, keys[k], int(labels[k]), bool(sure[k]))
                self._add(one, noise[k])
        return bool(chosen)

    def _agree(self, rows: Tensor, noise: Tensor, falls: Tensor) -> Tensor:
        """Return which rows `[m, n + 1]` are found in a second of the bins that they fall into."""
        blur = _HEARD * rows.shape[1] ** 0.5 * (noise[:, None] + self.noise)
        close = torch.cdist(rows, self.rest) < _SAME * rows.norm(dim=1, keepdim=True) + blur
        return (close & falls).sum(1) > 1

    def _hears(self, row: Tensor) -> Tensor:
        """Return which bins hold more of `row` `[n + 1]` than not, `[k]`."""
        return self.rest @ row > 0.5 * row.square().sum()

    def _add(self, one: _Found, noise: Tensor) -> None:
        self.found.append(one)
        self.rest[one.falls] -= one.row
        self.noise[one.falls] = (self.noise[one.falls].square() + noise.square()).sqrt()

    def _put_back(self) -> bool:
        """Put back the record that most likely is none; False where none looks so."""
        heard = self._heard().double()
        doubt: list[float] = []
        for one in self.found:
            rest = self.rest[one.falls]
            undone = (rest + one.row).norm(dim=1) < _SAME * one.row.norm()
            doubt.append(float(undone.sum() + heard[one.falls].mean()) - 0.1 * one.sure)
        if not doubt or max(doubt) < _DOUBT:
            return False
        one = self.found.pop(doubt.index(max(doubt)))
        self.rest[one.falls] += one.row
        self.banned.add(one.key)
        return True

    def _peeled(self, found: list[_Found], left: int) -> Peeled:
        rows = torch.stack([f.row for f in found]) if found else self.rest[:0]
        falls = torch.stack([f.falls for f in found]) if found else torch.zeros(0, len(self.rest))
        gap = torch.cdist(rows, self.bins.rows)
        blur = _HEARD * rows.shape[1] ** 0.5 * self.noise
        alone = (falls.bool() & (gap < _SAME * rows.norm(dim=1, keepdim=True) + blur)).any(1)
        return Peeled(
            rows=rows,
            labels=torch.tensor([f.label for f in found], dtype=torch.int64),
            sure=torch.tensor([f.sure for f in found], dtype=torch.bool),
            alone=alone,
            left=left,
        )
