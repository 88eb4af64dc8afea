"""SPDZ: what all parties but one see together says nothing of a vector."""

import numpy as np
import pytest
from numpy.typing import NDArray
from spdz_sums import draw_vectors, run, terms

from seepage.crypto.entropy import KeyStream, Scratch
from seepage.crypto.spdz import masks
from seepage.crypto.spdz.client import CONTEXT_BYTES
from seepage.crypto.spdz.masks import KEY_BYTES, mask_of
from seepage.crypto.wire import DEALER, PartyView


class IdealStream:
    """A key stream to which a word sequence is added for some keys: as uniform as it was."""

    shifts: dict[bytes, NDArray[np.uint64]]

    def __init__(self, key: bytes) -> None:
        self._stream, self._shift, self._at = KeyStream(key), self.shifts.get(key), 0

    def words(self, scratch: Scratch, count: int, dtype: type[np.uint64]) -> NDArray[np.uint64]:
        found = self._stream.words(scratch, count, dtype)
        if self._shift is None:
            return found
        self._at += count
        return found + self._shift[self._at - count : self._at]


@pytest.mark.parametrize("server", [True, False])
@pytest.mark.parametrize(("parties", "honest"), [(2, 0), (2, 1), (3, 0), (3, 1), (3, 2)])
def test_all_parties_but_one_see_the_same_of_any_vectors(
    parties: int, honest: int, server: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For every randomness behind a view there is one that gives it with other vectors.

    The honest party's key streams are shifted by the difference of the vectors: uniform streams
    stay uniform, so every view is as probable with the one as with the other. The coalition is
    all other parties, client 2 and the server, where the sum is the same; without the server
    even other sums look the same.
    """
    width = 5
    vectors = [np.round(v) for v in draw_vectors(3, width, bound=6.0)]
    others = [vectors[0] - 7.0, vectors[1] + (7.0 if server else 3.0), vectors[2]]
    code = terms(3, parties, width).code
    monkeypatch.setattr(IdealStream, "shifts", {}, raising=False)
    monkeypatch.setattr(masks, "KeyStream", IdealStream)
    seen = run(vectors, parties, seed=3).views
    unshifted = run(others, parties, seed=3).views
    of_key = [seen[f"party {p}"].of("MAC key")[DEALER] for p in range(parties)]
    alpha = np.uint64(sum(int.from_bytes(share, "little") for share in of_key))
    steps = (np.stack(others) - np.stack(vectors)) * 2.0**code.fraction_bits
    shifts = steps.astype(np.int64).view(np.uint64)
    for mask, shift in enumerate([*shifts, -shifts.sum(0)]):
        keys = bytes(seen[f"party {honest}"].of(f"shares of mask {mask}")[DEALER])
        IdealStream.shifts[keys[:KEY_BYTES]] = shift
        if honest < parties - 1:
            IdealStream.shifts[keys[KEY_BYTES:]] = shift * alpha
    shifted = run(others, parties, seed=3).views

    coalition = [f"party {p}" for p in range(parties) if p != honest]
    for party in coalition:
        assert received(unshifted[party]) != received(seen[party])
    for party in [*coalition, "client 2", *["server"] * server]:
        assert received(shifted[party]) == received(seen[party])
    before, after = seen["server"].sum, shifted["server"].sum
    assert before is not None
    assert after is not None
    assert np.array_equal(before, after) == server


def received(view: PartyView) -> list[tuple[str, str, bytes]]:
    return [(m.kind, m.sender, bytes(m.payload)) for m in view.received]


def test_all_parties_together_read_a_vector_and_only_the_server_learns_the_sum() -> None:
    vectors = draw_vectors(3, 5)
    found = run(vectors)
    views = found.views
    keys = [bytes(views[f"party {p}"].of("shares of mask 1")[DEALER])[:KEY_BYTES] for p in range(3)]
    hidden = np.frombuffer(views["party 0"].of("upload")["client 1"], np.uint32, offset=32)
    ((_, mask),) = mask_of(keys, 5)
    code = terms(3, 3, 5).code
    read = code.decode(hidden + mask.astype(np.uint32))
    np.testing.assert_allclose(read, vectors[1], atol=code.max_error)
    assert [party for party, view in views.items() if view.sum is not None] == ["server"]
    assert not views[DEALER].received
    assert found.cost.bytes_up_per_client == 3 * (4 * 5 + CONTEXT_BYTES)
    assert found.cost.offline_seconds > 0
