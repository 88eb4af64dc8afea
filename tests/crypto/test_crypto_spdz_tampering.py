"""SPDZ: no message that is tampered with changes a sum, whoever sent it."""

from collections import Counter
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from spdz_sums import draw_vectors, run

from seepage.core.errors import RefusedError
from seepage.crypto.entropy import Entropy
from seepage.crypto.protocol import SecureSum
from seepage.crypto.spdz.commitment import Commitments
from seepage.crypto.spdz.party import EXCHANGES, RELEASE
from seepage.crypto.spdz.shares import Shares
from seepage.crypto.wire import Payload, Wire

Alter = Callable[[bytes], bytes]

ONLINE = ("upload", *EXCHANGES, RELEASE)


class Tampered(Wire):
    """Alters messages of one kind from one sender: to one receiver, or (None) to all of them.

    To all means that the sender itself is corrupt: it works on with the share that it sent.
    """

    def __init__(self, kind: str, sender: str, receiver: str | None, alter: Alter) -> None:
        super().__init__()
        self.target, self.receiver = (kind, sender), receiver
        self.alter, self.altered, self.own = alter, False, False

    def send(self, kind: str, sender: str, receiver: str, payload: Payload) -> Payload:
        got = super().send(kind, sender, receiver, payload)
        if (kind, sender) != self.target or self.receiver not in (receiver, None) or self.own:
            return got
        changed = self.alter(bytes(got))
        self.altered |= changed != bytes(got)
        if self.receiver is None and isinstance(got, bytearray) and len(changed) == len(got):
            got[:] = changed
            self.own = True
            return got
        return changed


def random_alteration(rng: np.random.Generator, size: int) -> Alter:
    at, word = int(rng.integers(size)), int(rng.integers(max(size // 8, 1)))
    value, bit = int(rng.integers(1, 256)), int(rng.integers(8 * min(size, 8)))

    def byte(raw: bytes) -> bytes:
        return raw[:at] + bytes([raw[at] ^ value]) + raw[at + 1 :]

    def one_bit(raw: bytes) -> bytes:
        part = int.from_bytes(raw[8 * word : 8 * word + 8], "little") ^ (1 << bit)
        return raw[: 8 * word] + part.to_bytes(8, "little") + raw[8 * word + 8 :]

    noise = rng.bytes(8)
    return [
        byte,
        one_bit,
        lambda raw: raw[: 8 * word] + noise[: len(raw) - 8 * word] + raw[8 * word + 8 :],
        lambda raw: raw[:at] + raw[at + 1 :],
        lambda raw: raw + noise,
        lambda raw: bytes(len(raw)),
    ][rng.choice(6, p=[0.3, 0.35, 0.2, 0.05, 0.05, 0.05])]


@cache
def untouched(clients: int, parties: int) -> SecureSum:
    return run(draw_vectors(clients, 6), parties)


def tamper(trials: int, seed: int) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """Alter a random message in each of many sums; count what was refused, kept and wrong."""
    rng = np.random.default_rng(seed)
    refused, kept, wrong = Counter[str](), Counter[str](), Counter[str]()
    while refused.total() + kept.total() + wrong.total() < trials:
        parties, clients = int(rng.integers(2, 5)), int(rng.integers(2, 5))
        vectors, right = draw_vectors(clients, 6), untouched(clients, parties)
        kind = "share" if rng.random() < 0.3 else ONLINE[rng.integers(len(ONLINE))]
        sent = [
            (m.sender, to, len(m.payload))
            for to, view in right.views.items() for m in view.received if m.kind == kind
        ]  # fmt: skip
        sender, receiver, size = sent[rng.integers(len(sent))]
        # A client that sends all parties the same has chosen its vector: that is no tampering.
        alone = kind == "upload" or rng.random() < 0.5
        wire = Tampered(kind, sender, receiver if alone else None, random_alteration(rng, size))
        try:
            found = run(vectors, parties, wire, seed=int(rng.integers(2**32)))
        except RefusedError:
            refused[kind] += 1
            continue
        if wire.altered:
            (kept if np.array_equal(found.sum, right.sum) else wrong)[kind] += 1
    return refused, kept, wrong


def test_of_1000_tamperings_none_changes_the_sum() -> None:
    refused, kept, wrong = tamper(1000, seed=5)
    print(f"refused {refused}, harmless {kept}")
    assert not wrong
    assert refused.keys() == set(ONLINE)
    assert kept.keys() <= {"share"}


def test_without_the_check_tamperings_would_change_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Shares, "mac_share", lambda *_: 0)
    *_, wrong = tamper(200, seed=6)
    assert wrong["share"] >= 10


def in_words(*changes: int) -> Alter:
    """Add to the first words of a message."""

    def alter(raw: bytes) -> bytes:
        words = np.frombuffer(raw, np.uint64).copy()
        words[: len(changes)] += np.array(changes, np.int64).view(np.uint64)
        return words.tobytes()

    return alter


@pytest.mark.parametrize("changes", [(1 << 31,), (1, -1), (1 << 31, 1 << 31), (5, -10, 5)])
def test_a_corrupt_share_never_passes(changes: tuple[int, ...]) -> None:
    # 2^31 is the worst case of Z_2^64, and equal coefficients would let the others cancel.
    for _ in range(100):
        with pytest.raises(RefusedError, match="does not fit its MAC"):
            run(draw_vectors(2, 3), 2, Tampered("share", "party 1", None, in_words(*changes)))


def test_upper_bits_may_pass_and_change_nothing() -> None:
    # 2^63 times a factor times the key is 0 unless both are odd: three in four pass.
    vectors, passed = draw_vectors(2, 3), 0
    for seed in range(100):
        try:
            wire = Tampered("share", "party 1", None, in_words(-(1 << 63)))
            found = run(vectors, 2, wire, seed=seed)
        except RefusedError:
            continue
        passed += 1
        assert np.array_equal(found.sum, run(vectors, 2).sum)
    assert 55 <= passed <= 92


def test_the_coin_is_common_and_new_in_each_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    coins: list[bytes] = []
    monkeypatch.setattr(Shares, "mac_share", lambda *given: coins.append(given[-1]) or 0)
    run(draw_vectors(2, 3), 3)
    run(draw_vectors(2, 3), 3)
    assert len(set(coins[:3])) == len(set(coins[3:])) == 1
    assert coins[0] != coins[3]


def test_a_sum_that_is_refused_releases_nothing_and_names_nobody() -> None:
    wire = Tampered("MAC share", "party 2", "party 0", lambda raw: raw[:8] + bytes(len(raw) - 8))
    with pytest.raises(RefusedError) as refused:
        run(draw_vectors(3, 4), 3, wire)
    assert "2" not in str(refused.value)
    views = wire.views()
    assert all(view.sum is None for view in views.values())
    assert [m.kind for m in views["server"].received] == ["mask"]


def test_a_client_that_sends_parties_different_vectors_is_refused() -> None:
    wire = Tampered("upload", "client 1", "party 2", lambda raw: raw[:-1] + b"!")
    with pytest.raises(RefusedError, match="did not receive the same from the clients"):
        run(draw_vectors(3, 4), 3, wire)


def test_nobody_opens_what_it_did_not_commit_to() -> None:
    honest, other = (Commitments("coin", p, bytes([p] * 8), Entropy()) for p in (0, 1))
    opening = other.opening({0: honest.commitment()})
    mine = honest.opening({1: other.commitment()})
    assert honest.values({1: opening}) == [bytes(8), bytes([1] * 8)]
    for chosen_later in (bytes(len(opening)), opening[:-1], b""):
        with pytest.raises(RefusedError, match="a coin is not what a party had committed to"):
            honest.values({1: chosen_later})
    # Nor is another's commitment of use, though its opening can be sent on as well.
    honest.opening({1: honest.commitment()})
    with pytest.raises(RefusedError, match="a coin is not what a party had committed to"):
        honest.values({1: mine})
