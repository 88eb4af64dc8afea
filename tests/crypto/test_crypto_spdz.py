"""SPDZ: exact sums, keys and masks that serve once, and what is refused."""

from math import fsum

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spdz_sums import draw_vectors, run, terms

from seepage.core.errors import RefusedError, UsageError
from seepage.crypto.api import secure_sum
from seepage.crypto.entropy import Entropy
from seepage.crypto.spdz.client import Client
from seepage.crypto.spdz.dealer import Dealer
from seepage.crypto.spdz.masks import CHUNK, KEY_BYTES
from seepage.crypto.spdz.party import Party
from seepage.crypto.spdz.session import SPDZ


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_the_sum_is_that_of_the_survivors(data: st.DataObject) -> None:
    clients, width = data.draw(st.integers(2, 8)), data.draw(st.integers(1, 40))
    bound = data.draw(st.sampled_from([1e-3, 1.0, 16.0, 1e6]))
    gone = data.draw(st.sets(st.integers(0, clients - 1), max_size=clients - 2))
    drawn = draw_vectors(clients, width, data.draw(st.integers(0, 999)), 0.999 * bound)
    kind = data.draw(st.sampled_from([np.float32, np.float64]))
    vectors = [vector.astype(kind) for vector in drawn]
    weight = st.just(0.0) | st.floats(1e-6, 50)
    weights = data.draw(st.none() | st.lists(weight, min_size=clients, max_size=clients))
    found = secure_sum(
        vectors, protocol="spdz", bound=bound, drop=gone, weights=weights,
        seed=data.draw(st.none() | st.integers(0, 9)),
    )  # fmt: skip
    left = [i for i in range(clients) if i not in gone]
    used = [1.0] * clients if weights is None else weights
    exact = [fsum(used[i] * float(vectors[i][entry]) for i in left) for entry in range(width)]
    assert found.survivors == tuple(left)
    np.testing.assert_allclose(found.sum, exact, rtol=1e-12, atol=found.max_error)
    assert found.weight == pytest.approx(fsum(used[i] for i in left), abs=found.max_error / bound)


@pytest.mark.parametrize("parties", [2, 3, 5])
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_the_largest_sums_do_not_wrap(parties: int, sign: float) -> None:
    vectors = [np.full(CHUNK + 3, sign * 16.0)] * 64
    found = run(vectors, parties)
    assert np.array_equal(found.sum, np.full(CHUNK + 3, sign * 1024.0))


def test_no_key_is_dealt_twice() -> None:
    dealt: list[bytes] = []
    for _ in range(100):
        dealer = Dealer(terms(3, 3, 1), Entropy())
        for _ in range(4):
            mask = dealer.deal()
            dealt += [bytes(mask.owner[i : i + KEY_BYTES]) for i in range(0, 48, KEY_BYTES)]
            dealt += [bytes(shares[KEY_BYTES:]) for shares in mask.parties[:-1]]
    assert len(set(dealt)) == len(dealt) == 100 * 4 * 5


def test_a_mask_hides_one_vector_and_a_party_opens_one_sum() -> None:
    agreed = terms(3, 2, 3)
    client, party = Client(0, agreed), Party(0, agreed, Entropy())
    dealt = [Dealer(agreed, Entropy()).deal() for _ in range(4)]
    client.receive_mask(dealt[0].owner)
    for mask, shares in enumerate(dealt):
        party.shares.receive_mask(mask, shares.parties[0])
    message = client.upload(np.zeros(3))
    with pytest.raises(RefusedError, match="no mask that is not used"):
        client.upload(np.ones(3))
    party.receive_upload(0, message)
    for sender in (0, 3, -1):
        with pytest.raises(RefusedError, match="two vectors, or is not of the cohort"):
            party.receive_upload(sender, message)
    party.receive_upload(1, message)
    roster = party.answer("roster", {})
    with pytest.raises(RefusedError, match="after the others' were added up"):
        party.receive_upload(2, message)
    party.answer("share", {1: roster})
    for late in ("share", "coin commitment"):
        with pytest.raises(RefusedError, match="out of turn, or after it had refused"):
            party.answer(late, {1: roster})


def test_what_can_not_be_summed_is_refused() -> None:
    vectors = draw_vectors(4, 3)
    with pytest.raises(RefusedError, match="1 clients sent a vector, fewer than the 2"):
        secure_sum(vectors, protocol="spdz", drop=[0, 1, 3])
    with pytest.raises(RefusedError, match="3 clients sent a vector, fewer than the 4"):
        secure_sum(vectors, protocol="spdz", drop=[2], threshold=4)
    with pytest.raises(RefusedError, match="do not agree on the model"):
        run(vectors, context=(b"model", b"model", b"another", b"model"))
    run(vectors, context=(b"model", b"model", b"another", b"model"), drop={2: "upload"})
    with pytest.raises(RefusedError, match="client 1: entry 2 is nan"):
        secure_sum([vectors[0], [0.0, 1.0, np.nan]], protocol="spdz")
    with pytest.raises(UsageError, match="parties is 1; use 2 or more"):
        SPDZ(parties=1)
    with pytest.raises(UsageError, match="threshold is 1; use 2 or more"):
        secure_sum(vectors, protocol="spdz", threshold=1)
