"""Numbers as words, fields as bytes, secrets as shares, clients on a ring."""

from contextlib import suppress
from itertools import combinations
from math import fsum

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from seepage.core.errors import RefusedError, UsageError
from seepage.crypto.api import secure_sum
from seepage.crypto.entropy import Entropy
from seepage.crypto.fixed_point import FixedPoint
from seepage.crypto.masking.graph import collusion_risk, connected, ring
from seepage.crypto.masking.shamir import PRIME, combine, share
from seepage.crypto.masking.terms import Terms
from seepage.crypto.packing import pack, pack_numbers, unpack, unpack_numbers

WORDS = {32: np.uint32, 64: np.uint64}


@given(
    clients=st.integers(1, 300),
    bound=st.floats(1e-3, 1e3),
    width=st.sampled_from([32, 64]),
    word=st.sampled_from([16, 32, 48, 64]),
    seed=st.integers(0, 9),
)
def test_sums_of_codes_are_sums_of_numbers(
    clients: int, bound: float, width: int, word: int, seed: int
) -> None:
    """The largest sums, which come closest to a wrap, among them."""
    assume(word <= width)
    try:
        code = FixedPoint(clients, bound, word)
    except UsageError:
        assert clients * bound * 2 >= 2.0 ** (word - 2)
        return
    rng = np.random.default_rng(seed)
    rows = np.vstack([rng.uniform(-bound, bound, (clients, 3)).T, [[bound] * clients] * 2]).T
    rows[:, -1] *= -1
    total = np.zeros(5, WORDS[width])
    for row in rows:
        words = np.zeros(5, WORDS[width])
        code.encode(row, words)
        total += words
    wanted = np.array([fsum(column) for column in rows.T])
    off = np.abs(code.decode(total) - wanted) - np.spacing(np.abs(wanted))  # it is rounded, too
    assert off.max() <= code.max_error


def test_the_error_bound_is_reached() -> None:
    code = FixedPoint(3, 1.0)
    half = 2.0 ** -(code.fraction_bits + 1)
    total = np.zeros(1, np.uint32)
    for value in (3 * half, 7 * half, 11 * half):  # each rounds up, to even
        words = np.zeros(1, np.uint32)
        code.encode(np.array([value]), words)
        total += words
    assert code.decode(total)[0] - 21 * half == pytest.approx(code.max_error, rel=1e-6)


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf, 1.0000001, -2.0])
@pytest.mark.parametrize("protocol", ["plain", "masking"])
def test_what_has_no_code_is_refused(odd: float, protocol: str) -> None:
    vectors = [np.zeros(70_000), np.zeros(70_000)]
    vectors[1][66_000] = odd
    with pytest.raises(RefusedError, match="client 1: entry 66000 is"):
        secure_sum(vectors, protocol=protocol, bound=1.0)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"protocol": "maskin"}, "did you mean 'masking'"),
        ({"vectors": []}, "no vectors"),
        ({"vectors": [[1.0], [1.0, 2.0]]}, "one length"),
        ({"vectors": [[[1.0]]]}, "one axis"),
        ({"bound": 0.0}, "above 0"),
        ({"bound": 1e9}, "no fractional bit"),
        ({"weights": [1.0]}, "1 weights for 3 vectors"),
        ({"weights": [1.0, -1.0, 1.0]}, "0 or more"),
        ({"weights": [1.0, 3.0, 1.0], "weight_bound": 2.0}, "bound of weights is 2"),
        ({"drop": [3]}, "client 3, of 3"),
        ({"drop": {0: "uplaod"}}, "did you mean 'upload'"),
        ({"threshold": 1}, "use 2 or more"),
        ({"threshold": 4}, "use 1 to 3"),
        ({"protocol": "plain", "threshold": 2}, "has no threshold"),
    ],
)
def test_arguments_that_make_no_sense_are_refused_on_one_line(
    settings: dict[str, object], match: str
) -> None:
    given = {"vectors": [[1.0]] * 3, "protocol": "masking"} | settings
    with pytest.raises(UsageError, match=match) as caught:
        secure_sum(given.pop("vectors"), **given)
    assert "\n" not in str(caught.value)


@given(st.lists(st.binary(max_size=9)), st.integers(0, 40))
def test_messages_are_read_as_they_were_written_or_not_at_all(
    fields: list[bytes], cut: int
) -> None:
    message = pack(*fields)
    assert [bytes(field) for field in unpack(message)] == fields
    torn = message[: max(len(message) - 1 - cut, 0)]
    with suppress(RefusedError):
        assert fields[: len(unpack(torn))] == [bytes(field) for field in unpack(torn)]
    with pytest.raises(RefusedError, match="fields"):
        unpack(message, len(fields) + 1)


@given(st.lists(st.integers(0, 2**32 - 1)))
def test_numbers_are_read_as_they_were_written(numbers: list[int]) -> None:
    assert unpack_numbers(pack_numbers(numbers)) == tuple(numbers)


@settings(max_examples=30, deadline=None)
@given(secret=st.binary(min_size=32, max_size=32), threshold=st.integers(1, 5))
def test_so_many_shares_give_the_secret_and_fewer_say_nothing(
    secret: bytes, threshold: int
) -> None:
    shares = share(secret, threshold, (3, 1, 4, 15, 9, 2), Entropy())
    for points in combinations(shares, threshold):
        assert combine({point: shares[point] for point in points}) == secret
    # With one share fewer, each secret has a last share that fits: Lagrange's weights are not 0.
    known = {point: int.from_bytes(shares[point], "big") for point in list(shares)[: threshold - 1]}
    wanted, missing = 12345, 77
    at = [*known, missing]
    weights = {
        x: np.prod([y * pow(y - x, -1, PRIME) for y in at if y != x], initial=1, dtype=object)
        for x in at
    }
    rest = wanted - sum(int(weights[x]) * known[x] for x in known)
    last = rest * pow(int(weights[missing]), -1, PRIME) % PRIME
    made = {x: shares[x] for x in known} | {missing: last.to_bytes(33, "big")}
    assert combine(made) == wanted.to_bytes(32, "big")


@given(clients=st.integers(2, 40), half=st.integers(1, 20), seed=st.binary(min_size=4, max_size=4))
def test_a_ring_is_symmetric_regular_and_connected(clients: int, half: int, seed: bytes) -> None:
    roster = tuple(range(5, 5 + clients))
    found = ring(roster, 2 * half, seed)
    for client, others in found.items():
        assert len(set(others)) == len(others) == min(2 * half, clients - 1)
        assert client not in others
        assert all(client in found[other] for other in others)
    assert connected(found, frozenset(roster))


def test_a_cut_ring_is_not_connected() -> None:
    found = ring(tuple(range(8)), 2, b"")
    order = [0, found[0][0]]
    while len(order) < 8:
        order.append(next(j for j in found[order[-1]] if j not in order))
    assert connected(found, frozenset(order[:5]))
    assert not connected(found, frozenset([*order[:3], *order[4:7]]))


def test_the_risk_of_colluders_bounds_what_happens() -> None:
    clients, neighbors, needed, colluders = 20, 6, 4, 5
    rng, bad, trials = np.random.default_rng(0), 0, 4000
    for _ in range(trials):
        found = ring(tuple(range(clients)), neighbors, rng.bytes(8))
        bad += any(sum(j < colluders for j in others) >= needed for others in found.values())
    risk = collusion_risk(clients, neighbors, needed, colluders)
    assert bad / trials <= risk
    assert bad / trials > risk / 6  # a union bound, not a made-up one


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"threshold": 5, "colluders": 1}, "use 6 or more"),
        ({"threshold": 10, "colluders": 10}, "are all of them"),
        ({"threshold": 8, "colluders": 3, "neighbors": 4}, "with a chance of up to"),
    ],
)
def test_terms_that_protect_nobody_are_refused(settings: dict[str, int], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        Terms(registry={i: bytes(32) for i in range(10)}, width=1, bound=1.0, **settings)


def test_a_seed_repeats_a_sum_and_none_does_not() -> None:
    def seen(seed: int | None) -> bytes:
        found = secure_sum([[1.0]] * 3, protocol="masking", seed=seed)
        return bytes(found.views["server"].of("upload")["client 0"])

    assert seen(3) == seen(3)
    assert len({seen(3), seen(4), seen(None), seen(None)}) == 4
