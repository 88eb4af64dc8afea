"""Encrypted uploads, robust reductions on shares, and an opening by enough clients."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import chisquare
from sklearn.datasets import load_breast_cancer

from seepage.core.errors import RefusedError, UsageError
from seepage.crypto import hybrid
from seepage.crypto.api import secure_sum
from seepage.crypto.cards import protocol_card
from seepage.crypto.entropy import Entropy
from seepage.crypto.environments.cards import OPENFHE
from seepage.crypto.environments.find import find
from seepage.crypto.environments.worker import Worker
from seepage.crypto.hybrid import rounds
from seepage.crypto.hybrid.parameters import BITS, PRIME_BITS, RING_DEGREE, statistical_bits
from seepage.crypto.hybrid.session import Hybrid
from seepage.crypto.hybrid.team import Team
from seepage.crypto.hybrid.words import Words, drawn, signed
from seepage.crypto.packing import unpack
from seepage.crypto.protocol import SecureSum, SumJob
from seepage.crypto.wire import PartyView

Rows = NDArray[np.float64]

STAGES = Hybrid.stages
RING = {"degree": RING_DEGREE, "prime_bits": PRIME_BITS, "bits": BITS}

NOISES = f"""
import sys
sys.path.append({str(Path(hybrid.__file__).parent)!r})
import numpy as np
from openfhe_bfv import Ring, fhe

def shifted(ring, cipher, bits):
    while bits:
        step = min(bits, 27)
        constant = ring.context.MakeCoefPackedPlaintext([1 << step])
        cipher, bits = ring.context.EvalMult(cipher, constant), bits - step
    return cipher

def noises(settings, parts):
    # What is opened of words that add up to nothing, times 2^bits: their own noise; a client's.
    ring = Ring.new(settings["degree"], settings["prime_bits"], settings["bits"])
    pair = ring.context.KeyGen()
    total = None
    for words in parts:
        cipher = ring.context.Encrypt(pair.publicKey, ring.plain(words))
        total = cipher if total is None else ring.context.EvalAdd(total, cipher)
    own = ring.context.Decrypt(pair.secretKey, shifted(ring, total, settings["own"]))
    own.SetLength(ring.degree)
    part = ring.decrypted_in_part(total, pair.secretKey, True)
    flood = ring.opened(shifted(ring, part, settings["flood"]))
    return {{}}, [np.array(own.GetCoefPackedValue()), flood]

CALLS = {{"noises": noises}}
"""


@pytest.fixture(scope="module")
def team() -> Iterator[Team]:
    """Processes that have started, for all sums here."""
    if missing := protocol_card("hybrid").missing():
        pytest.skip(f"OpenFHE or SPU is not here: {missing}")
    with Hybrid().meet() as met:
        yield met


def rows_of(clients: int, width: int, seed: int = 0) -> Rows:
    return np.random.default_rng(seed).uniform(-1, 1, (clients, width))


def summed(
    team: Team, rows: Rows, *, drop: object = None, seed: int | None = None, **of: object
) -> SecureSum:
    job = SumJob(vectors=tuple(rows), bound=1.0, drop=drop or {}, entropy=Entropy(seed))
    return Hybrid(**of).run(job, team)


def reduced(rows: Rows, trim: int) -> dict[str, Rows]:
    norms = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 0.5)
    found = {
        "sum": rows.sum(0),
        "clip": (rows * (0.5 / norms)).sum(0),
        "median": np.median(rows, axis=0),
    }
    if trim:
        found["trimmed-mean"] = np.sort(rows, axis=0)[trim : len(rows) - trim].mean(0)
    return found


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    clients=st.integers(2, 6),
    width=st.sampled_from([1, 33, RING_DEGREE + 1]),
    seed=st.integers(0, 99),
    gone=st.dictionaries(st.integers(0, 5), st.sampled_from(STAGES), max_size=3),
    data=st.data(),
)
def test_the_survivors_are_reduced_as_by_numpy_or_all_is_aborted(
    team: Team, clients: int, width: int, seed: int, gone: dict[int, str], data: st.DataObject
) -> None:
    rows = rows_of(clients, width, seed)
    drop = {client: stage for client, stage in gone.items() if client < clients}
    alive = [c for c in range(clients) if drop.get(c) not in STAGES[:3]]
    able = clients - len(drop)
    trim = (len(alive) - 1) // 2
    expected = reduced(rows[alive], trim) if alive else {"sum": rows[0]}
    kind = data.draw(st.sampled_from(sorted(expected)))
    of = {"reduction": kind, "clip_norm": 0.5, "trim": max(trim, 1)}
    if len(alive) < 2 or (drop and able < clients // 2 + 1):
        with pytest.raises(RefusedError, match="nothing was released"):
            summed(team, rows, drop=drop, **of)
        return
    found = summed(team, rows, drop=drop, **of)
    assert found.survivors == tuple(alive)
    assert np.abs(found.sum - expected[kind]).max() <= found.max_error
    assert found.max_error < (1e-6 if kind != "clip" else 2e-3)


def test_weights_are_secret_and_an_error_as_large_as_stated_is_met(team: Team) -> None:
    rows, weights = rows_of(4, 3), (0.5, 3.0, 0.0, 1.25)
    job = SumJob(
        vectors=tuple(rows), weights=weights, weight_bound=4.0, bound=1.0, entropy=Entropy()
    )
    found = Hybrid().run(job, team)
    assert np.abs(found.sum - np.dot(weights, rows)).max() <= found.max_error < 1e-5
    assert found.weight == pytest.approx(4.75, abs=found.max_error)
    with pytest.raises(UsageError, match="median takes no weights"):
        Hybrid(reduction="median").run(job, team)
    exact = np.full((4, 1), 0.49 / 2**24)  # each is off by half a step, all the same way
    found = summed(team, exact)
    assert 0.97 * found.max_error < abs(found.sum[0] - exact.sum()) <= found.max_error


def bits_are_uniform(words: Words) -> bool:
    """The 8 upper bits, and the 8 lower ones; level 10^-6 each."""
    upper, lower = (signed(words, BITS) >> (BITS - 8)) & 255, words & 255
    return all(
        chisquare(np.bincount(each.ravel(), minlength=256)).pvalue > 1e-6 for each in (upper, lower)
    )


def masked(found: SecureSum) -> Words:
    payload = found.views["party 0"].of("masked")["server"]
    return np.frombuffer(payload, np.int32).astype(np.int64)


def share_words(payload: object, width: int) -> Words:
    """The words at the end of a share of ABY3, two an entry."""
    return np.frombuffer(bytes(unpack(payload, 2)[1])[-16 * width :], np.int64)


def test_no_party_sees_a_vector_and_the_masks_are_why(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Power: of 20,000 words, a mask that lacks one of 29 bits is found."""
    rows = np.stack([np.zeros(10_000), np.full(10_000, 0.25)])
    found = summed(team, rows)
    assert bits_are_uniform(masked(found))
    for party in ("party 0", "party 1", "party 2"):
        view = found.views[party]
        assert view.sum is None
        assert {m.kind for m in view.received} <= {"joint key", "masked", "share"}
        shares = [m for m in view.received if m.kind == "share"]
        assert len(shares) == 4
        for message in shares:
            words = share_words(message.payload, 10_000)
            assert chisquare(np.bincount(words.view(np.uint8), minlength=256)).pvalue > 1e-6
    result = [share_words(s, 10_000) for s in found.views["server"].of("masked result").values()]
    total = sum(each.reshape(-1, 2)[:, 0] for each in result)
    assert (total & (2 ** (64 - BITS) - 1) == 0).all()
    assert bits_are_uniform(total >> (64 - BITS))

    def shorter(shape: tuple[int, ...], bits: int, entropy: Entropy) -> Words:
        return drawn(shape, bits - 1, entropy)

    monkeypatch.setattr(rounds, "drawn", shorter)
    assert not bits_are_uniform(masked(summed(team, rows)))
    monkeypatch.setattr(rounds, "drawn", lambda shape, *_: np.zeros(shape, np.int64))
    open_words = masked(summed(team, rows)).reshape(2, -1)
    assert not open_words[0].any()
    assert (open_words[1] == 2 ** (BITS - 6)).all()


def test_a_seed_repeats_masks_and_none_draws_them_anew(team: Team) -> None:
    rows = rows_of(2, 50)
    once, again, other = (masked(summed(team, rows, seed=seed)) for seed in (1, 1, None))
    assert (once == again).all()
    assert (once != other).mean() > 0.9


def test_each_key_is_fresh_and_stays_with_the_clients(team: Team) -> None:
    runs = [summed(team, rows_of(3, 5)) for _ in range(2)]
    keys = {bytes(run.views["party 1"].of("joint key")["server"]) for run in runs}
    assert len(keys) == 2
    kinds = {m.kind for m in runs[0].views["server"].received}
    assert kinds == {
        "keys", "joint key", "upload", "encrypted mask", "convert", "masked result", "open"
    }  # fmt: skip
    assert runs[0].views["server"].sum is not None
    assert all(runs[0].views[f"client {c}"].sum is None for c in range(3))


@pytest.mark.parametrize("stage", ["convert", "open"])
def test_fewer_clients_than_the_threshold_open_nothing(team: Team, stage: str) -> None:
    rows = rows_of(5, 7)
    drop = {0: stage, 4: stage}
    found = summed(team, rows, drop=drop, reduction="median")
    assert np.abs(found.sum - np.median(rows, axis=0)).max() <= found.max_error
    for threshold in (4, 5):
        with pytest.raises(RefusedError, match=r"2 of the 5 clients .* are lost.*sum anew"):
            summed(team, rows, drop=drop, threshold=threshold)
    with pytest.raises(UsageError, match="use 1 to 5"):
        summed(team, rows, threshold=6)


def test_a_part_of_a_decryption_opens_nothing(team: Team) -> None:
    (ring,) = team.clients.call("start", **RING).parts
    team.server.call("start", [ring])
    public = team.clients.call("make_key", [bytes(32)], client=0).parts[0]
    public = team.clients.call("make_key", [bytes(32), public], client=1).parts[0]
    words = np.full(RING_DEGREE, -(2 ** (BITS - 1)))
    sent = team.clients.call("encrypt", [public, words]).parts
    parts = [
        team.clients.call("decrypt_in_part", sent, client=c, lead=c == 0).parts for c in (0, 1)
    ]

    def opened(*given: list[object]) -> Words:
        for each in given:
            team.server.call("fuse", each, name="test")
        return signed(team.server.call("opened", name="test").parts[0], BITS)

    assert bits_are_uniform(opened(parts[0]))
    assert (opened(*parts) == words).all()


def test_noise_is_no_more_than_stated_and_its_flood_no_less(team: Team, tmp_path: Path) -> None:
    python = find(OPENFHE)
    assert python is not None
    script = tmp_path / "noises.py"
    script.write_text(NOISES)
    words = drawn((3, RING_DEGREE), BITS, Entropy())
    log_ratio = 3 * PRIME_BITS - BITS  # of Q / t, which what is opened was divided by
    with Worker(python, script, name="noises") as worker:
        own, flood = worker.call(
            "noises", [*words, signed(-words.sum(0), BITS)], own=log_ratio + 4, flood=54, **RING
        ).parts
    most = 2.0 ** (2 * PRIME_BITS - statistical_bits(1, 3, 1)) / (2 * RING_DEGREE)
    assert 100 < np.abs(own / 2.0**4).max() < most
    scaled = flood / 2.0 ** (2 * PRIME_BITS + 54 - log_ratio)
    assert chisquare(np.histogram(scaled, 64, (-0.5, 0.5))[0]).pvalue > 1e-6
    assert np.abs(scaled).max() < 0.5 + 1e-6


@pytest.mark.parametrize("kind", ["clip", "median", "trimmed-mean"])
def test_words_out_of_range_move_no_reduction_past_the_honest(
    team: Team, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    rows, honest = rows_of(5, 50), rounds._coded
    lies = {0: 2 ** (BITS - 1) - 1, 1: -(2 ** (BITS - 1))}

    def coded(plan: object, job: SumJob, client: int) -> Words:
        return np.full(50, lies[client]) if client in lies else honest(plan, job, client)

    monkeypatch.setattr(rounds, "_coded", coded)
    found = summed(team, rows, reduction=kind, trim=2)
    if kind == "clip":
        liars = 2 / np.sqrt(50)
        norms = np.linalg.norm(rows[2:], axis=1, keepdims=True)
        assert np.abs(found.sum - (rows[2:] / norms).sum(0)).max() <= liars + found.max_error
    else:
        assert (found.sum >= rows[2:].min(0) - found.max_error).all()
        assert (found.sum <= rows[2:].max(0) + found.max_error).all()


def test_refusals_are_one_line_and_leave_the_team_to_others(team: Team) -> None:
    for odd in (np.nan, np.inf, 1.5):
        with pytest.raises(RefusedError, match="client 1: entry 2 is"):
            summed(team, np.where(np.arange(12).reshape(3, 4) == 6, odd, rows_of(3, 4)))
    with pytest.raises(RefusedError, match="1 clients send a vector, and the minimum cohort is 2"):
        summed(team, rows_of(2, 4), drop={0: "upload"})
    with pytest.raises(UsageError, match=r"within 512 clip norms.*nearer to clip_norm"):
        summed(team, rows_of(2, 4), reduction="clip", clip_norm=1e-3)
    assert np.abs(summed(team, rows_of(2, 4)).sum - rows_of(2, 4).sum(0)).max() < 1e-6


def test_without_its_environments_one_command_makes_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path)
    for name in ("OPENFHE", "SPU"):
        monkeypatch.delenv(f"SEEPAGE_{name}_PYTHON", raising=False)
    both = "seepage doctor --make openfhe --make spu"
    assert protocol_card("hybrid").missing() == both
    with pytest.raises(UsageError, match="seepage doctor --make openfhe"):
        secure_sum(rows_of(2, 4), protocol="hybrid")


BOUND = 64.0


class Regression:
    """Logistic regression of 5 hospitals on tumors, of which the first sends what it likes."""

    def __init__(self) -> None:
        data = load_breast_cancer()
        features = (data.data - data.data.mean(0)) / data.data.std(0)
        self.features = np.column_stack([features, np.ones(len(features))])
        self.labels = data.target
        order = np.random.default_rng(0).permutation(len(features))
        self.held_out, *self.hospitals = np.array_split(order, 6)
        self.model = np.zeros(self.features.shape[1])

    def updates(self, poison: float) -> Rows:
        found = []
        for mine in self.hospitals:
            model = self.model.copy()
            for _ in range(20):
                odds = 1 / (1 + np.exp(-self.features[mine] @ model))
                model += 0.3 * self.features[mine].T @ (self.labels[mine] - odds) / len(mine)
            found.append(model - self.model)
        found[0] = np.clip(poison * found[0], -BOUND, BOUND)  # it keeps to the public range
        return np.stack(found)

    def accuracy(self) -> float:
        guesses = self.features[self.held_out] @ self.model > 0
        return float((guesses == self.labels[self.held_out]).mean())


def test_a_model_trains_past_a_poisoned_client_where_the_mean_breaks(team: Team) -> None:
    def trained(poison: float, **of: object) -> float:
        regression = Regression()
        for _ in range(3):
            found = summed_updates(regression.updates(poison), **of)
            regression.model += found / (1 if of["reduction"] == "median" else 5)
        return regression.accuracy()

    def summed_updates(updates: Rows, **of: object) -> Rows:
        job = SumJob(vectors=tuple(updates), bound=BOUND, entropy=Entropy())
        return Hybrid(**of).run(job, team).sum

    assert trained(1.0, reduction="sum") > 0.95
    assert trained(-50.0, reduction="sum") < 0.5
    assert trained(-50.0, reduction="median") > 0.95
    assert trained(-50.0, reduction="clip", clip_norm=0.5) > 0.9


def test_views_hold_messages_and_costs_count_them(team: Team) -> None:
    found = summed(team, rows_of(3, 100), reduction="median")
    view: PartyView = found.views["server"]
    assert sum(len(m.payload) for m in view.received if m.sender == "client 1") == (
        found.cost.bytes_up_per_client
    )
    assert found.cost.bytes_between_servers > 100 * 3 * 3 * 2 * 16
    assert found.cost.rounds == len(STAGES)
