"""Who masks with whom: everybody with everybody, or a ring on which each has k neighbors.

Bell, Bonawitz, Gascon, Lepoint & Raykova 2020 (ePrint 2020/704, section 3): with k of the order
of log n neighbors the cost of a client no longer grows with the cohort. The ring's order comes
from a hash that all clients compute; a server that may choose among rosters may choose among
orders, so the bound on colluding neighbors holds for rosters that it did not search for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil

import numpy as np
from scipy.stats import hypergeom


def ring(roster: Sequence[int], neighbors: int, seed: bytes) -> dict[int, tuple[int, ...]]:
    """Return each client's neighbors: `neighbors` (even) of them, or all others if they are fewer.

    Neighbors stand within neighbors / 2 of each other on a circle in an order drawn from `seed`.
    """
    if neighbors >= len(roster) - 1:
        return {i: tuple(j for j in roster if j != i) for i in roster}
    rng = np.random.default_rng(int.from_bytes(seed, "big"))
    order = [roster[i] for i in rng.permutation(len(roster))]
    away = [*range(-(neighbors // 2), 0), *range(1, neighbors // 2 + 1)]
    return {
        client: tuple(sorted(order[(at + step) % len(order)] for step in away))
        for at, client in enumerate(order)
    }


def connected(neighbors: Mapping[int, Sequence[int]], among: frozenset[int]) -> bool:
    """Return whether clients reach each other by neighbors `among` them.

    Where they don't, masks cancel within each part, and the server learns the parts' sums.
    """
    start = next(iter(among))
    seen, edge = {start}, [start]
    while edge:
        edge = [j for i in edge for j in neighbors[i] if j in among and j not in seen]
        edge = list(dict.fromkeys(edge))
        seen.update(edge)
    return among <= seen


def neighborhood_threshold(threshold: int, clients: int, neighbors: int) -> int:
    """Return the shares that a secret takes where k neighbors and its owner hold one each.

    The cohort's threshold, in proportion, rounded up.
    """
    if neighbors >= clients - 1:
        return threshold
    return ceil(threshold * (neighbors + 1) / clients)


def collusion_risk(clients: int, neighbors: int, needed: int, colluders: int) -> float:
    """Return a bound on the chance that `colluders`, placed anyhow, break a client's privacy.

    That is, that some client has `needed` of them around it, who hold its secrets' shares; or
    that runs of neighbors / 2 of them stand on both sides of some arc of the ring, so that the
    arc's sum is alone (union bounds over clients and over places).
    """
    if neighbors >= clients - 1:
        return 0.0 if colluders < needed else 1.0
    around = float(hypergeom.sf(needed - 1, clients - 1, colluders, neighbors))
    half = neighbors // 2
    run = float(hypergeom.pmf(half, clients, colluders, half)) * clients
    return min(clients * around + run**2, 1.0)
