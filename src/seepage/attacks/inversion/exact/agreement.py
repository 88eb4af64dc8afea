"""Finds neurons that one record alone activates, because several of them agree.

Row j of a linear layer's gradient is sum_i d_ij [x_i, 1]. Where one record alone
activates the neuron the row is parallel to that [x_i, 1], so two such neurons are
parallel to each other, which rows of mixtures are not (the idea of Fowl et al. 2022,
arXiv 2110.13057, with the agreement as its proof).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def agreeing_rows(matrix: Tensor, noise: float) -> tuple[Tensor, Tensor]:
    """Return directions on which rows of `matrix` `[m, n]` agree, `[k, n]`, and support `[k]`.

    `noise` is the standard deviation of each entry. A direction has at least two rows;
    the best supported comes first.
    """
    length = matrix.norm(dim=1)
    width = matrix.shape[1] ** 0.5
    clear = length > max(200 * noise * width, 1e-9 * float(length.max()))
    rows = matrix[clear] / length[clear, None]
    blur = noise * width / length[clear] + 1e-7
    gap = (2 - 2 * (rows @ rows.T).abs()).clamp_min(0).sqrt()
    near = gap < 3 * (blur[:, None] + blur)
    centers: list[Tensor] = []
    support: list[int] = []
    while len(near) and int((count := near.sum(1)).max()) > 1:
        group = near[int(count.argmax())]
        weighted = rows[group] / blur[group, None]
        centers.append(torch.linalg.svd(weighted, full_matrices=False)[2][0])
        support.append(int(group.sum()))
        rows, blur, near = rows[~group], blur[~group], near[~group][:, ~group]
    order = sorted(range(len(centers)), key=lambda k: -support[k])
    directions = [centers[k] for k in order]
    stacked = torch.stack(directions) if directions else matrix.new_empty((0, matrix.shape[1]))
    return stacked, torch.tensor([support[k] for k in order], dtype=torch.int64)
