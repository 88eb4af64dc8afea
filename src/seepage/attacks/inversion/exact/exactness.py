"""How exact records are that sparse columns give, from the gradient's own rounding.

Column q_i is the null vector of the rows that its record leaves off, so it is as good as
these rows: with weights 1 / s_j^2 its covariance is C_i = (sum_j l_j l_j^T / s_j^2)^+, which
is infinite where the null space has a second dimension (SPEAR's rank check). Of X = Q^-1 R,

    dx_k = -sum_i (a_k^T dq_i) a_i R + a_k dR,    A = Q^-1 = [a_1 ... a_r]^T.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from .column_search import ColumnSearch

_ALONE = 1e3


def standard_errors(search: ColumnSearch, q: Tensor, directions: Tensor) -> Tensor:
    """Return the standard error of the values of each record, `[r]`; infinite without proof.

    `q` `[r, r]` are unit columns; `directions` `[r, n]` their records, brought to scale.
    """
    records, on = search.patterns(q)
    # Rows that vanish although the record turns them on prove nothing: they chose the column.
    silent = search.zero(q) & ~on
    precise = search.rows / search.noise[:, None]
    size = directions.norm(dim=1) / records.norm(dim=1)
    scaled = records * size[:, None]
    mean_square = directions.square().mean(dim=1)
    total = torch.zeros_like(mean_square)
    for i in range(len(q)):
        known = precise[silent[i]]
        values, vectors = torch.linalg.eigh(known.T @ known)
        if len(q) > 1 and values[1] < _ALONE * max(len(known), 1):
            return torch.full_like(mean_square, torch.inf)
        along = (scaled @ vectors[:, 1:]).square() / values[1:]
        share = along.sum(dim=1) / size[i].square()
        total = total + share * (mean_square[i] + mean_square)
    lengths = search.rows.square().sum(dim=0)
    noise = search.noise.square().mean()
    return (total + (scaled.square() * noise / lengths).sum(dim=1)).sqrt()
