"""Which reconstruction stands for which record: the Hungarian method on squared distance."""

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """Return mean squared distances `[n, m]` between rows of `[n, *shape]` and `[m, *shape]`."""
    left, right = a.flatten(1).double(), b.flatten(1).double()
    # By matrix products a record would be at a distance above 0 from its own copy.
    exact = "donot_use_mm_for_euclid_dist"
    return torch.cdist(left, right, compute_mode=exact).square() / max(left.shape[1], 1)


def match(reconstructions: Tensor, originals: Tensor) -> list[tuple[int, int]]:
    """Pair reconstructions `[k, *shape]` with originals `[b, *shape]`, min(k, b) pairs.

    The pairing has the least total squared distance (Kuhn 1955), so that the order in
    which an attack returns a batch carries no weight.

    >>> match(torch.tensor([[5.0], [1.0]]), torch.tensor([[1.1], [4.0]]))
    [(0, 1), (1, 0)]
    """
    if not len(reconstructions) or not len(originals):
        return []
    cost = squared_distances(reconstructions, originals).nan_to_num(1e30, 1e30, 1e30)
    rows, columns = linear_sum_assignment(cost.numpy())
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True)]
