"""Masked sums: exact or aborted, whoever drops out, and whatever the server says."""

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2, ncx2

from seepage.core.errors import RefusedError
from seepage.crypto.api import secure_sum
from seepage.crypto.entropy import Entropy
from seepage.crypto.fixed_point import FixedPoint
from seepage.crypto.masking.client import MaskingClient
from seepage.crypto.masking.keys import Identity
from seepage.crypto.masking.session import Masking
from seepage.crypto.masking.terms import Terms
from seepage.crypto.packing import pack, pack_numbers, unpack
from seepage.crypto.protocol import SecureSum, SumJob
from seepage.crypto.wire import Payload, Wire

STAGES = Masking.stages


def vectors(clients: int, width: int = 5, seed: int = 0) -> tuple[np.ndarray, ...]:
    return tuple(np.random.default_rng(seed).uniform(-1, 1, (clients, width)))


def job(clients: int, **settings: object) -> SumJob:
    return SumJob(vectors=vectors(clients), entropy=Entropy(0), bound=1.0, **settings)


def exact(given: SumJob, survivors: tuple[int, ...]) -> np.ndarray:
    """Return the survivors' sum as integers give it."""
    code, total = FixedPoint(given.clients, given.bound), np.zeros(given.width, np.uint32)
    for client in survivors:
        words = np.zeros(given.width, np.uint32)
        code.encode(given.contribution(client), words)
        total += words
    return code.decode(total)


@st.composite
def drops(draw: st.DrawFn) -> tuple[int, dict[int, str], int]:
    clients = draw(st.integers(3, 32))
    most = clients - (clients // 2 + 1) + 1  # one more than the threshold bears, at times
    gone = draw(st.lists(st.integers(0, clients - 1), max_size=most, unique=True))
    return clients, {c: draw(st.sampled_from(STAGES)) for c in gone}, draw(st.integers(0, 6)) * 2


@settings(max_examples=50, deadline=None)
@given(case=drops())
def test_the_survivors_sum_is_exact_or_the_round_is_aborted(
    case: tuple[int, dict[int, str], int],
) -> None:
    clients, drop, neighbors = case
    given, protocol = job(clients, drop=drop), Masking(neighbors=neighbors)
    alive = tuple(c for c in range(clients) if given.present(c, "upload", STAGES))
    enough = clients - len(drop) >= clients // 2 + 1
    try:
        found = protocol.run(given)
    except RefusedError:
        # On a sparse graph too many may be gone around one client, though enough are left.
        assert not enough or 0 < neighbors < clients - 1
        return
    assert enough
    assert found.survivors == alive
    assert (found.sum == exact(given, alive)).all()
    assert found.weight == len(alive)
    plain = np.sum([given.vectors[c] for c in alive], axis=0)
    assert np.abs(found.sum - plain).max() <= found.max_error


def test_sparse_graphs_bear_drop_outs() -> None:
    drop = {3: "shares", 11: "upload", 20: "upload", 25: "consistency", 30: "unmask"}
    found = Masking(neighbors=14).run(job(32, drop=drop))
    assert set(range(32)) - set(found.survivors) == {3, 11, 20}


def test_weights_are_summed_as_secretly() -> None:
    given = vectors(4)
    found = secure_sum(given, protocol="masking", weights=[3, 0, 250, 7], bound=1.0)
    assert found.weight == pytest.approx(260, abs=found.max_error)
    wanted = 3 * given[0] + 250 * given[2] + 7 * given[3]
    assert np.abs(found.sum - wanted).max() <= found.max_error < 3e-5


class Lying(Wire):
    """A wire whose server says something else."""

    def __init__(self, lie: Callable[[str, str, bytes], Payload]) -> None:
        super().__init__()
        self._lie = lie

    def send(self, kind: str, sender: str, receiver: str, payload: Payload) -> Payload:
        if sender == "server":
            payload = self._lie(kind, receiver, bytes(payload))
        return super().send(kind, sender, receiver, payload)


def lied(lie: Callable[[str, str, bytes], Payload], **settings: object) -> SecureSum:
    return Masking().run(job(6, **settings), Lying(lie))


def refields(message: bytes, change: Callable[[list[bytes]], list[bytes]]) -> bytes:
    return pack(*change([bytes(field) for field in unpack(message)]))


def forged(keys: bytes) -> bytes:
    """Return the same client's keys, of an attacker's making."""
    *fields, _ = map(bytes, unpack(keys))
    mallory = Identity.new(Entropy(7))
    fields[3] = bytes(reversed(fields[3]))
    return pack(*fields, mallory.sign("keys", b"", *fields))


LIES: dict[str, tuple[str, str, Callable[[bytes], bytes], str]] = {
    "swapped keys": (
        "for shares", "client 0",
        lambda m: refields(m, lambda f: [*f[:3], forged(f[3]), *f[4:]]), "did not sign",
    ),
    "short roster": (
        "for shares", "client 0", lambda m: refields(m, lambda f: f[:5]), "fewer than the 4",
    ),
    "a roster without it": (
        "for shares", "client 0", lambda m: refields(m, lambda f: [*f[:2], *f[3:]]),
        "does not hold the keys that it sent",
    ),
    "a roster that differs": (
        "for shares", "client 0", lambda m: refields(m, lambda f: f[:-1]), "did not share with all",
    ),
    "a client twice": (
        "for shares", "client 0", lambda m: refields(m, lambda f: [*f, f[-1]]), "twice",
    ),
    "wrong threshold": (
        "for shares", "client 0",
        lambda m: refields(m, lambda f: [f[0], (2).to_bytes(4, "big"), *f[2:]]), "threshold",
    ),
    "another round": (
        "for shares", "client 0",
        lambda m: refields(m, lambda f: [(1).to_bytes(8, "big"), *f[1:]]), "not of round 0",
    ),
    "shares swapped": (
        "for upload", "client 0", lambda m: refields(m, lambda f: [f[0], f[2], f[1], *f[3:]]),
        "does not open",
    ),
    "shares withheld": (
        "for upload", "client 0", lambda m: refields(m, lambda f: f[:-1]), "not those of its",
    ),
    "few neighbors": (
        "for upload", "client 0",
        lambda m: refields(m, lambda f: [pack_numbers((0, 1)), f[1]]), "only 1 neighbors",
    ),
    "dead and alive": (
        "for consistency", "client 0", lambda m: pack_numbers((0, 1, 2, 3)),
        "not those of survivors",
    ),
    "called dead": (
        "for consistency", "client 0", lambda m: pack_numbers((1, 2, 3, 4, 5)), "calls it dead",
    ),
    "few survivors": (
        "for consistency", "client 0", lambda m: pack_numbers((0, 1, 2)), "fewer than 4",
    ),
    "a survivor twice": (
        "for consistency", "client 0", lambda m: pack_numbers((0, 1, 1, 2, 3)), "one twice",
    ),
    "few confirm": (
        "for unmask", "client 0",
        lambda m: refields(m, lambda f: [f[0][:12], *f[1:4]]), "3 confirm",
    ),
    "one confirms often": (
        "for unmask", "client 0",
        lambda m: refields(m, lambda f: [f[0][:4] * 6, *[f[1]] * 6]), "not those of survivors",
    ),
    "forged confirmation": (
        "for unmask", "client 0", lambda m: refields(m, lambda f: [f[0], f[2], f[1], *f[3:]]),
        "confirmed other survivors",
    ),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_a_lying_server_is_refused_and_learns_nothing(lie: str) -> None:
    stage, victim, change, match = LIES[lie]
    wire = Lying(lambda kind, to, m: change(m) if (kind, to) == (stage, victim) else m)
    with pytest.raises(RefusedError, match=match):
        Masking().run(job(6), wire)
    assert wire.views()["server"].sum is None
    assert not wire.views()["server"].of("unmask").get(victim)


def test_nobody_is_dead_to_some_clients_and_alive_to_others() -> None:
    """Both lists are long enough, and each client is shown its own list's signers only."""
    lists = {c: (0, 1, 2, 3) if c < 2 else (0, 1, 2, 3, 4, 5) for c in range(6)}

    def fork(kind: str, receiver: str, message: bytes) -> bytes:
        shown = lists[int(receiver.split()[1])]
        if kind == "for consistency":
            return pack_numbers(shown)
        if kind == "for unmask":
            return refields(message, lambda f: [f[0][: 4 * len(shown)], *f[1:][: len(shown)]])
        return message

    with pytest.raises(RefusedError, match="client 2 confirmed other survivors"):
        lied(fork)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_bit_of_what_the_server_says_can_be_changed(data: st.DataObject) -> None:
    """One bit of one message to one client: that client or another one refuses."""
    stage = data.draw(st.sampled_from(STAGES[1:]))
    place, bit = data.draw(st.floats(0, 1, exclude_max=True)), data.draw(st.integers(0, 7))

    def flip(kind: str, receiver: str, message: bytes) -> bytes:
        if (kind, receiver) != (f"for {stage}", "client 2"):
            return message
        torn = bytearray(message)
        torn[int(place * len(torn))] ^= 1 << bit
        return bytes(torn)

    with pytest.raises(RefusedError):
        lied(flip, drop={4: "upload"})


def test_a_round_is_begun_once_and_a_step_is_taken_once() -> None:
    identity = Identity.new(Entropy(0))
    terms = Terms(registry={0: identity.public, 1: identity.public}, threshold=2, width=1, bound=1)
    client = MaskingClient(0, identity, terms, Entropy(1))
    now = client.begin(4)
    now.keys()
    with pytest.raises(RefusedError, match="out of turn"):
        now.keys()
    for number in (4, 3):
        with pytest.raises(RefusedError, match="was begun before"):
            client.begin(number)
    again = client.begin(5)
    stale = refields(now._mine.payload, lambda f: f)
    again.keys()
    roster = pack((5).to_bytes(8, "big"), (2).to_bytes(4, "big"), stale, again._mine.payload)
    with pytest.raises(RefusedError, match="of another round"):
        again.shares(roster)
    with pytest.raises(RefusedError, match="out of turn"):  # a refused round stays refused
        again.upload(b"", np.zeros(1))


def test_clients_that_were_given_other_models_do_not_unmask() -> None:
    models = (b"a", b"a", b"b", b"a", b"a", b"a")
    with pytest.raises(RefusedError, match="given another model"):
        Masking().run(job(6, context=models))
    assert Masking().run(job(6, context=(b"a",) * 6)).survivors == tuple(range(6))


def test_what_the_server_sees_of_a_vector_is_uniform() -> None:
    """Chi-square of the differences' top bytes, at a level of 1e-6.

    A mask whose top bytes were off by 3 % here and there would be seen with a chance above 99.9 %.
    """
    width, level = 1 << 19, 1e-6
    vector = (np.full(width, 0.25, np.float32),) * 3
    first, second = (
        np.frombuffer(
            secure_sum(vector, protocol="masking", bound=1.0)
            .views["server"]
            .of("upload")["client 1"],
            np.uint32,
        )
        for _ in range(2)
    )
    limit = chi2.isf(level, 255)
    assert ncx2.sf(limit, 255, width * 0.03**2) > 0.999
    for words in (first, first - second):
        counts = np.bincount(words >> 24, minlength=256)
        assert ((counts - width / 256) ** 2 / (width / 256)).sum() < limit
        bits = np.unpackbits(words.view(np.uint8)).mean()
        assert abs(bits - 0.5) < 6 * 0.5 / np.sqrt(32 * width)


def test_a_client_takes_no_more_than_three_times_its_vector() -> None:
    width = 1 << 20
    most: list[int] = []

    class Watched(Wire):
        def send(self, kind: str, sender: str, receiver: str, payload: Payload) -> Payload:
            if kind == "for upload":
                tracemalloc.reset_peak()
                self.before = tracemalloc.get_traced_memory()[0]
            if kind == "upload":
                most.append(tracemalloc.get_traced_memory()[1] - self.before)
            return super().send(kind, sender, receiver, payload)

    given = SumJob(vectors=(np.ones(width, np.float32),) * 3, entropy=Entropy(0))
    tracemalloc.start()
    Masking().run(given, Watched())
    tracemalloc.stop()
    assert max(most) <= 2 * 4 * width  # beside the vector itself
