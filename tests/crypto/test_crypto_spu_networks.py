from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seepage.core.errors import UsageError
from seepage.crypto.fixed_point import FixedPoint
from seepage.crypto.spu.networks import Comparator, layers, rank_sum, sorting_network
from seepage.crypto.spu.reductions import ClippedSum, kept_ranks


def compared(network: list[Comparator], rows: list[int]) -> list[int]:
    found = list(rows)
    for a, b in network:
        found[a], found[b] = min(found[a], found[b]), max(found[a], found[b])
    return found


def sorts(network: list[Comparator], rows: int) -> bool:
    """The 0-1 principle: a network that sorts all zeros and ones sorts everything."""
    return all(compared(network, list(x)) == sorted(x) for x in product((0, 1), repeat=rows))


@pytest.mark.parametrize("rows", range(1, 13))
def test_any_number_of_rows_is_sorted(rows: int) -> None:
    assert sorts(sorting_network(rows), rows)


def test_the_test_of_networks_notices_a_comparator_that_is_missing() -> None:
    network = sorting_network(8)
    assert len(network) == 19  # the fewest that any network of 8 rows has
    for at in range(len(network)):
        assert not sorts(network[:at] + network[at + 1 :], 8)


@pytest.mark.parametrize("rows", range(1, 10))
def test_sums_of_ranks_are_exact_for_every_range_of_ranks(rows: int) -> None:
    for low in range(rows):
        for high in range(low + 1, rows + 1):
            network = rank_sum(rows, range(low, high))
            for x in product((0, 1), repeat=rows):
                assert sum(compared(network, list(x))[low:high]) == sum(sorted(x)[low:high])


@given(st.lists(st.integers(-9, 9), min_size=1, max_size=40), st.data())
def test_sums_of_any_ranks_are_exact(rows: list[int], data: st.DataObject) -> None:
    ranks = data.draw(st.sets(st.integers(0, len(rows) - 1)))
    found = compared(rank_sum(len(rows), ranks), rows)
    assert sum(found[r] for r in ranks) == sum(sorted(rows)[r] for r in ranks)


def test_ranks_that_are_added_up_or_left_out_together_are_not_compared() -> None:
    assert rank_sum(8, range(8)) == []
    assert len(rank_sum(8, range(3, 5))) == 16
    assert len(rank_sum(8, range(1, 7))) == 10


@pytest.mark.parametrize("rows", [1, 2, 5, 8, 17])
def test_layers_keep_the_order_and_touch_no_row_twice(rows: int) -> None:
    network = sorting_network(rows)
    layered = layers(network)
    for layer in layered:
        touched = [row for comparator in layer for row in comparator]
        assert len(set(touched)) == len(touched)
    flat = [comparator for layer in layered for comparator in layer]
    assert sorted(flat) == sorted(network)
    for row in range(rows):
        assert [c for c in flat if row in c] == [c for c in network if row in c]


def test_trimming_leaves_somebody() -> None:
    assert list(kept_ranks("median", 7, 1)) == [3]
    assert list(kept_ranks("median", 1, 1)) == [0]
    assert list(kept_ranks("sum", 3, 5)) == [0, 1, 2]
    with pytest.raises(UsageError, match="trimming 2 of 4 clients at each end leaves none"):
        kept_ranks("trimmed-mean", 4, 2)


def test_a_norm_that_could_wrap_is_refused_before_anything_starts() -> None:
    code = FixedPoint(8, 16.0, 62)
    ClippedSum(code=code, rows=8, width=200_000, clip_norm=1.0, clamp=True)
    with pytest.raises(UsageError, match=r"use a bound below 8\.2"):
        ClippedSum(code=code, rows=8, width=1_000_000, clip_norm=1.0, clamp=True)
    with pytest.raises(UsageError, match="clip_norm is 0"):
        ClippedSum(code=code, rows=8, width=10, clip_norm=0.0, clamp=True)
