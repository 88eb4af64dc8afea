"""Sorting networks: which rows to compare, whatever is in them, so that shares can be sorted.

Batcher's odd-even merge sort (Knuth, TAOCP 3, 5.2.2, Algorithm M) sorts any number of rows. Who
wants only the sum of some ranks does not need all of it (`rank_sum`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

Comparator = tuple[int, int]
"""Rows (a, b), a < b: the smaller entry goes to a, the larger to b."""


def sorting_network(rows: int) -> list[Comparator]:
    """Return the comparators that sort `rows` rows, in order.

    >>> sorting_network(3)
    [(0, 2), (0, 1), (1, 2)]
    """
    found: list[Comparator] = []
    top = 1 << max(rows - 1, 0).bit_length() >> 1
    width = top
    while width:
        stride, offset, gap = top, 0, width
        while True:
            found += [(row, row + gap) for row in range(rows - gap) if row & width == offset]
            if stride == width:
                break
            gap, stride, offset = stride - width, stride // 2, width
        width //= 2
    return found


def rank_sum(rows: int, ranks: Collection[int]) -> list[Comparator]:
    """Return comparators after which the rows in `ranks` add up to the entries of these ranks.

    A comparator keeps the sum of its two rows. So it is left out where both of them are only
    added up, or both are of no use.
    """
    wanted: dict[int, bool | None] = {row: row in ranks for row in range(rows)}
    kept: list[Comparator] = []
    for a, b in reversed(sorting_network(rows)):
        if wanted[a] is None or wanted[a] != wanted[b]:
            kept.append((a, b))
            wanted[a] = wanted[b] = None  # each by itself, from here on
    return kept[::-1]


def layers(comparators: Collection[Comparator]) -> list[list[Comparator]]:
    """Return the comparators in layers that touch no row twice: one exchange of messages each.

    >>> layers([(0, 1), (2, 3), (1, 2)])
    [[(0, 1), (2, 3)], [(1, 2)]]
    """
    depth: dict[int, int] = defaultdict(int)
    found: dict[int, list[Comparator]] = defaultdict(list)
    for a, b in comparators:
        layer = max(depth[a], depth[b])
        depth[a] = depth[b] = layer + 1
        found[layer].append((a, b))
    return [found[layer] for layer in range(len(found))]
