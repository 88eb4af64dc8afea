"""Label skew: clients whose labels follow their own draw from a Dirichlet distribution."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import DataError


def dirichlet(
    labels: NDArray[Any], clients: int, alpha: float, rng: np.random.Generator
) -> list[NDArray[np.int64]]:
    """Return each client's positions in `labels` `[n]`; together they are all of them.

    Client k draws q_k ~ Dir(alpha p), with p the share of each label, and then its records
    by labels from q_k without replacement, all clients holding equally many to within one
    (Hsu, Qi and Brown, Measuring the Effects of Non-Identical Data Distribution for
    Federated Visual Classification, 2019, arXiv 1909.06335). Clients take turns in random order.
    Once a label has run out, q_k is renormalized over those that are left; where it has no
    mass there, the client draws by what is left. Raises `DataError` unless alpha > 0.
    """
    if not (alpha > 0 and np.isfinite(alpha)):
        raise DataError(f"data.alpha is {alpha}; use a number above 0")
    total = len(labels)
    kinds, codes = np.unique(labels, return_inverse=True)
    stock = [list(rng.permutation(np.flatnonzero(codes == k))) for k in range(len(kinds))]
    left = np.array([len(rows) for rows in stock], dtype=np.float64)
    mixes = rng.dirichlet(alpha * left / total, size=clients)
    turns = rng.permutation(np.arange(total) % clients)
    draws = rng.random(total)
    parts: list[list[int]] = [[] for _ in range(clients)]
    for client, draw in zip(turns.tolist(), draws.tolist(), strict=True):
        weights = np.where(left > 0, mixes[client], 0.0).cumsum()
        if not weights[-1] > 0:
            weights = left.cumsum()
        # Divided first: scaled up, a draw could round to the top of denormal weights.
        kind = int(np.searchsorted(weights / weights[-1], draw, side="right"))
        parts[client].append(stock[kind].pop())
        left[kind] -= 1
    return [np.array(part, dtype=np.int64) for part in parts]
