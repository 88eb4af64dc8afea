"""ABY3 and SEMI2K by SPU; what needs its environment skips where that is missing."""

import os
import signal
from collections.abc import Iterator
from threading import Timer

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import chisquare

from seepage.core.errors import RefusedError, UsageError
from seepage.crypto.api import secure_sum
from seepage.crypto.cards import protocol_card
from seepage.crypto.entropy import Entropy
from seepage.crypto.environments.worker import WorkerError
from seepage.crypto.packing import unpack
from seepage.crypto.protocol import SecureSum, SumJob
from seepage.crypto.spu.aby3 import ABY3
from seepage.crypto.spu.api import secure_reduce
from seepage.crypto.spu.parties import Parties
from seepage.crypto.spu.reductions import STEP, ClippedSum, RankSum
from seepage.crypto.spu.semi2k import SEMI2K
from seepage.crypto.spu.session import SPUSum

Rows = NDArray[np.float64]


def trusting(**settings: object) -> SEMI2K:
    return SEMI2K(trusted_first_party=True, **settings)


@pytest.fixture(scope="module", params=[ABY3, trusting], ids=["aby3", "semi2k"])
def met(request: pytest.FixtureRequest) -> Iterator["Met"]:
    """Parties that have met, of either protocol."""
    needs_spu()
    with request.param().meet() as parties:
        yield Met(request.param, parties)


def needs_spu() -> None:
    if missing := protocol_card("aby3").missing():
        pytest.skip(f"SPU is not here: {missing}")


class Met:
    def __init__(self, protocol: type[SPUSum], parties: Parties) -> None:
        self.protocol, self.parties = protocol, parties

    def run(self, rows: Rows, *, bound: float = 1.0, drop: object = (), **of: object) -> SecureSum:
        job = {name: of.pop(name) for name in ("context",) if name in of}
        dropped = dict.fromkeys(drop, "upload")
        sums = SumJob(vectors=tuple(rows), bound=bound, drop=dropped, entropy=Entropy(), **job)
        return self.protocol(**of).run(sums, parties=self.parties)


def rows_of(clients: int, width: int, seed: int = 0) -> Rows:
    return np.random.default_rng(seed).uniform(-1, 1, (clients, width))


def clipped(rows: Rows, norm: float) -> Rows:
    norms = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), norm)
    return (rows * (norm / norms)).sum(0)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    clients=st.integers(2, 9),
    width=st.sampled_from([1, 2, 33]),
    seed=st.integers(0, 99),
    data=st.data(),
)
def test_reductions_of_who_is_left_are_those_of_numpy(
    met: Met, clients: int, width: int, seed: int, data: st.DataObject
) -> None:
    rows = rows_of(clients, width, seed).astype(data.draw(st.sampled_from(["f4", "f8"])))
    drop = data.draw(st.sets(st.integers(0, clients - 1), max_size=clients - 2))
    left = np.delete(rows, list(drop), axis=0).astype(np.float64)
    trim = (len(left) - 1) // 2
    expected = {
        "sum": left.sum(0),
        "clip": clipped(left, 0.5),
        "median": np.median(left, axis=0),
    }
    if trim:
        expected["trimmed-mean"] = np.sort(left, axis=0)[trim : len(left) - trim].mean(0)
    kind = data.draw(st.sampled_from(sorted(expected)))
    found = met.run(rows, drop=drop, reduction=kind, trim=max(trim, 1), clip_norm=0.5)
    assert np.abs(found.sum - expected[kind]).max() <= found.max_error
    assert found.max_error < (1e-10 if kind != "clip" else 1e-3)
    assert found.survivors == tuple(c for c in range(clients) if c not in drop)


def test_factors_are_right_to_four_steps_at_any_norm(met: Met) -> None:
    """SPU's own inverse root is 0 from 2^16 on, a clip of 256 norms, and says nothing."""
    ratios = np.concatenate([[0.0, 0.3, 1.0], 2.0 ** np.linspace(0.001, 12.9, 29)])[:, None]
    found = met.run(ratios, reduction="clip", bound=8000.0, clip_norm=1.0, clamp=False)
    each = np.where(ratios > 1, 4 * ratios, 0) + 1
    assert abs(found.sum[0] - np.minimum(ratios, 1).sum()) <= each.sum() * STEP
    steep = met.run(np.full((2, 4), 4000.0), reduction="clip", bound=4000.0)
    np.testing.assert_allclose(steep.sum, 2 * 0.5, rtol=0.04)


def test_a_party_alone_sees_noise_and_all_together_the_vectors(met: Met) -> None:
    rows = np.stack([np.zeros(20_000), np.full(20_000, 0.25)])
    found = met.run(rows)
    assert not found.views["server"].of("upload")
    for client, row in enumerate(rows):
        words = [
            np.frombuffer(_content(view.of("upload")[f"client {client}"], 20_000), np.uint64)
            for name, view in found.views.items()
            if name.startswith("party")
        ]
        for seen in words:
            counts = np.bincount(seen.view(np.uint8), minlength=256)
            assert chisquare(counts).pvalue > 1e-6
        first = [seen.reshape(20_000, -1)[:, 0] for seen in words]
        code = np.rint(row * 2.0**40).astype(np.int64)
        assert (sum(first[1:], first[0]).view(np.int64) == code).all()


def _content(message: object, width: int) -> bytes:
    """The words at the end of a share: one an entry, or two."""
    _, share = unpack(message, 2)
    chunk = unpack(share, 2)[1]
    return bytes(chunk[-8 * width * (len(chunk) // (8 * width)) :])


def test_words_out_of_range_get_past_a_median_only_without_the_clamp(
    met: Met, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_of(5, 50)
    honest = RankSum.encode

    def encode(self: RankSum, vector: Rows, who: str) -> NDArray[np.int64]:
        lies = {"client 0": 2**63 - 1, "client 1": -(2**63)}
        return np.full(50, lies[who]) if who in lies else honest(self, vector, who)

    monkeypatch.setattr(RankSum, "encode", encode)
    found = met.run(rows, reduction="median").sum
    assert (found >= rows[2:].min(0) - 1e-9).all()
    assert (found <= rows[2:].max(0) + 1e-9).all()
    with pytest.raises(RefusedError, match="the result is out of the range of any honest one"):
        met.run(rows, reduction="median", clamp=False)
    mean = met.run(rows[[0, 2]], reduction="median").sum  # of two, nothing is compared
    assert (np.abs(mean) <= 1).all()


def test_a_norm_that_wraps_gets_past_a_clip_only_without_the_clamp(
    met: Met, monkeypatch: pytest.MonkeyPatch
) -> None:
    def encode(self: object, vector: Rows, who: str) -> Rows:
        return np.full(len(vector), 2.0**22)  # of words 2^40, whose squares are 0 modulo 2^64

    monkeypatch.setattr(ClippedSum, "encode", encode)
    assert np.linalg.norm(met.run(rows_of(2, 50), reduction="clip").sum) < 2.01
    with pytest.raises(RefusedError, match="the result is out of the range of any honest one"):
        met.run(rows_of(2, 50), reduction="clip", clamp=False)


def test_refusals_release_nothing_and_leave_the_parties_to_others(met: Met) -> None:
    rows = rows_of(3, 4)
    with pytest.raises(RefusedError, match="1 clients are left, of 2 at least"):
        met.run(rows, drop=(0, 1))
    with pytest.raises(RefusedError, match="clients disagree on what they were given"):
        met.run(rows, context=(b"model", b"model", b"other"))
    for odd in (np.nan, np.inf, 1.5):
        with pytest.raises(RefusedError, match="client 1: entry 2 is"):
            met.run(np.where(np.arange(12).reshape(3, 4) == 6, odd, rows))
    assert np.abs(met.run(rows).sum - rows.sum(0)).max() < 1e-10


def test_weights_are_secret_and_only_a_sum_takes_them() -> None:
    needs_spu()
    rows, weights = rows_of(4, 7), [0.5, 3.0, 0.0, 1.25]
    found = secure_sum(rows, protocol="semi2k", weights=weights, bound=1.0, drop=[3])
    assert np.abs(found.sum - np.dot(weights[:3], rows[:3])).max() <= found.max_error
    assert found.weight == pytest.approx(3.5)
    job = SumJob(vectors=tuple(rows), weights=tuple(weights), entropy=Entropy())
    with pytest.raises(UsageError, match="median takes no weights"):
        ABY3(reduction="median").run(job)


def test_a_party_that_dies_ends_the_sum_in_one_line() -> None:
    needs_spu()
    with ABY3().meet() as parties:
        job = SumJob(vectors=tuple(rows_of(8, 60_000)), entropy=Entropy(), bound=1.0)
        victim = parties.pids[1]
        Timer(1.0, lambda: os.kill(victim, signal.SIGKILL)).start()
        with pytest.raises(WorkerError, match="party 1 died: SIGKILL") as error:  # noqa: PT012
            while True:
                ABY3(reduction="median").run(job, parties=parties)
        assert str(error.value).endswith("; nothing was released")
        assert "\n" not in str(error.value)


def test_without_its_environment_the_command_that_makes_it_is_named(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path)
    monkeypatch.delenv("SEEPAGE_SPU_PYTHON", raising=False)
    with pytest.raises(UsageError, match="seepage doctor --make spu"):
        secure_reduce(rows_of(3, 4), reduction="median")


def test_triples_of_party_0_are_accepted_by_name_only() -> None:
    with pytest.raises(UsageError, match=r"party 0 makes.*use aby3, or set trusted_first_party"):
        secure_reduce(rows_of(3, 4), reduction="median", protocol="semi2k")
    with pytest.raises(UsageError, match="did you mean 'median'"):
        ABY3(reduction="medain")
    with pytest.raises(UsageError, match="parties is 1; use 2 or more"):
        SEMI2K(parties=1)
