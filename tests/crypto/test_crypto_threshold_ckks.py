"""Sums under CKKS with a key that no single party has."""

from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seepage.core.errors import RefusedError, UsageError
from seepage.crypto import threshold_ckks
from seepage.crypto.api import secure_sum
from seepage.crypto.entropy import Entropy
from seepage.crypto.environments.cards import OPENFHE
from seepage.crypto.environments.find import find
from seepage.crypto.environments.worker import Worker, WorkerError
from seepage.crypto.protocol import SumJob
from seepage.crypto.threshold_ckks.escrow import Escrow
from seepage.crypto.threshold_ckks.parameters import PRIME_BITS, RING_DEGREE, Flood
from seepage.crypto.threshold_ckks.session import ThresholdCKKS

STAGES = ThresholdCKKS.stages
PYTHON = find(OPENFHE)
openfhe = pytest.mark.skipif(
    PYTHON is None, reason=f"there is no environment for OpenFHE: {OPENFHE.command} makes it"
)

EXACT = f"""
import sys
sys.path.append({str(Path(threshold_ckks.__file__).parent)!r})
from openfhe_ring import Ring

def left(settings, parts):
    # What decrypts to nothing but the noise of a library where the encoding is exact.
    ring = Ring.new(settings["degree"], settings["prime_bits"])
    pair = ring.context.KeyGen()
    cipher = ring.encrypt(parts[0], settings["scale_bits"], pair.publicKey)
    (part,) = ring.context.MultipartyDecryptLead([cipher], pair.secretKey)
    whole = ring.context.EvalSub(part, part)
    whole.SetNoiseScaleDeg(1)
    whole.SetScalingFactor(2.0 ** ring.prime_bits)
    whole = ring.context.EvalAdd(whole, ring._plain(parts[0], 1))
    for _ in range(settings["scale_bits"]):
        whole = ring.context.EvalAdd(whole, whole)
    whole.SetNoiseScaleDeg(2)
    whole.SetScalingFactor(4.0 ** ring.prime_bits)
    return {{}}, [ring.opened(ring.context.EvalSub(part, whole), 0)]

CALLS = {{"left": left}}
"""


def job(clients: int = 3, width: int = 5, **settings: object) -> SumJob:
    vectors = tuple(np.random.default_rng(0).uniform(-1, 1, (clients, width)))
    return SumJob(vectors=vectors, entropy=Entropy(0), bound=1.0, **settings)


def test_more_to_hide_leaves_fewer_bits_until_there_are_none() -> None:
    def error(clients: int, width: int = 10**6, bits: int = 40) -> float:
        flood = Flood(clients=clients, width=width, statistical_bits=bits)
        return flood.code(16.0).max_error

    assert all(few < many for few, many in pairwise(error(n) for n in (2, 8, 32, 100)))
    assert error(8, 10**4) < error(8) < error(8, bits=45) < 1e-3
    assert error(8) < 1e-5
    with pytest.raises(UsageError, match="leave no room"):
        error(8, bits=70)


@pytest.mark.parametrize("threshold", [2, 3, 4])
def test_a_seal_is_recovered_from_as_many_shares_as_it_takes(threshold: int) -> None:
    escrows = {c: Escrow(c, Entropy(c)) for c in range(5)}
    roster = {c: escrow.public for c, escrow in escrows.items()}
    boxes = escrows[4].boxes({c: roster[c] for c in range(4)}, threshold)

    def recovered(helpers: Sequence[int]) -> bytes:
        passed = {h: escrows[h].passed_on(4, boxes[h], roster, helpers[0]) for h in helpers}
        return escrows[helpers[0]].recovered(4, passed, roster)

    assert recovered(range(threshold)) == recovered(range(4 - threshold, 4)) == escrows[4].seal
    with pytest.raises(RefusedError, match="does not open"):
        escrows[1].passed_on(4, boxes[0], roster, 1)
    with suppress(RefusedError):  # what too few shares give need not even be of a seal's size
        assert recovered(range(threshold - 1)) != escrows[4].seal


@openfhe
class TestSum:
    @settings(max_examples=8, deadline=None)
    @given(
        clients=st.integers(2, 5),
        width=st.sampled_from([1, 4095, 4097]),
        gone=st.dictionaries(st.integers(0, 4), st.sampled_from(STAGES), max_size=3),
        weighted=st.booleans(),
    )
    def test_the_survivors_sum_is_right_or_the_sum_is_aborted(
        self, clients: int, width: int, gone: dict[int, str], weighted: bool
    ) -> None:
        drop = {client: stage for client, stage in gone.items() if client < clients}
        weights = tuple(range(clients)) if weighted else None
        given = job(clients, width, drop=drop, weights=weights, weight_bound=8.0)
        alive = tuple(c for c in range(clients) if drop.get(c) not in STAGES[:3])
        made = [c for c in range(clients) if drop.get(c) not in STAGES[:2]]
        able = [c for c in alive if drop.get(c) != "decrypt"]
        if set(able) != set(made):
            able = [c for c in able if c not in drop]
        if len(alive) < 2 or len(able) < clients // 2 + 1:
            with pytest.raises(RefusedError, match=r"nothing was released"):
                ThresholdCKKS().run(given)
            return
        found = ThresholdCKKS().run(given)
        assert found.survivors == alive
        factors = np.ones(clients) if weights is None else np.array(weights)
        truth = sum(factors[c] * given.vectors[c] for c in alive)
        assert np.abs(found.sum - truth).max() <= found.max_error
        assert abs(found.weight - factors[list(alive)].sum()) <= found.max_error

    def test_the_stated_error_is_met_and_never_passed(self) -> None:
        code = Flood(clients=8, width=3, statistical_bits=40).code(16.0)
        vectors = np.full((8, 3), 2.0 ** -(code.fraction_bits + 1))
        vectors[:, 1] = 16.0
        found = secure_sum(vectors, protocol="threshold-ckks")
        errors = np.abs(found.sum - vectors.sum(axis=0))
        assert 0.99 * found.max_error < errors.max() <= found.max_error < 1e-5
        assert errors[1] == 0

    @pytest.mark.parametrize("bad", [np.nan, np.inf, 16.01])
    def test_what_can_not_be_encoded_is_refused(self, bad: float) -> None:
        with pytest.raises(RefusedError, match=r"client 1: entry 2.*nothing was sent"):
            secure_sum([[0.0] * 3, [0.0, 0.0, bad]], protocol="threshold-ckks")

    def test_the_key_is_fresh_and_no_secret_of_it_reaches_the_server(self) -> None:
        runs = [ThresholdCKKS().run(job()) for _ in range(2)]
        joint = [bytes(run.views["client 2"].of("joint key")["server"]) for run in runs]
        assert joint[0] != joint[1]
        kinds = [m.kind for m in runs[0].views["server"].received]
        assert kinds == [k for k in ("keys", "joint key", "upload", "decrypt") for _ in range(3)]

    def test_too_few_to_stand_in_for_the_lost_is_an_abort_that_says_what_to_do(self) -> None:
        drop = {0: "decrypt", 1: "decrypt"}
        assert secure_sum(job(5).vectors, protocol="threshold-ckks", drop=drop).sum.any()
        for threshold in (4, 5):
            with pytest.raises(RefusedError, match=r"2 of the 5 clients .* are lost.*sum anew"):
                ThresholdCKKS(threshold=threshold).run(job(5, drop=drop))
        with pytest.raises(UsageError, match="use 1 to 5"):
            ThresholdCKKS(threshold=6).run(job(5))

    def test_the_aggregator_can_not_decrypt_nor_open_with_a_part_missing(self) -> None:
        flood = Flood(clients=2, width=RING_DEGREE, statistical_bits=40)
        noise = {"deviation_bits": flood.deviation_bits, "coarse_bits": flood.coarse_bits}
        with ThresholdCKKS().processes() as (clients, aggregator):
            public = clients.call("make_key", [bytes(32)], client=0).parts[0]
            public = clients.call("make_key", [bytes(32), public], client=1).parts[0]
            codes = np.full(RING_DEGREE, 1000.0)
            sent = clients.call("encrypt", [public, codes], scale_bits=flood.scale_bits).parts
            for client in (0, 1):
                parts = clients.call(
                    "decrypt_in_part", sent, client=client, lead=client == 0, **noise
                ).parts
                aggregator.call("fuse", parts)
                (found,) = aggregator.call("opened", scale_bits=flood.scale_bits).parts
                if client == 0:
                    assert np.abs(found - codes).min() > 1
            assert np.abs(found - codes).max() < 0.25
            with pytest.raises(WorkerError, match="Decrypt"):
                aggregator.call("decrypt", sent)

    def test_partial_decryptions_are_flooded_as_stated(self) -> None:
        flood = Flood(clients=2, width=RING_DEGREE, statistical_bits=40)
        with ThresholdCKKS().processes() as (clients, aggregator):
            public = clients.call("make_key", [bytes(32)], client=0).parts[0]
            nothing = np.zeros(RING_DEGREE)
            sent = clients.call("encrypt", [public, nothing], scale_bits=PRIME_BITS).parts
            parts = clients.call(
                "decrypt_in_part", sent, client=0, lead=True,
                deviation_bits=flood.deviation_bits, coarse_bits=flood.coarse_bits,
            ).parts  # fmt: skip
            aggregator.call("fuse", parts)
            (noise,) = aggregator.call("opened", scale_bits=0).parts
        assert np.std(noise) == pytest.approx(2.0**flood.deviation_bits, rel=0.06)
        # Finer noise lies on the grid of the coarse one: the remainders are as good as uniform.
        remainders = noise / 2.0**flood.coarse_bits % 1
        assert np.histogram(remainders, 8, (0, 1))[0] == pytest.approx(RING_DEGREE / 8, rel=0.2)

    @pytest.mark.parametrize("shape", ["random", "constant", "alternating"])
    def test_encoding_the_largest_numbers_is_exact(self, shape: str, tmp_path: Path) -> None:
        scale_bits, most = 75, 2.0 ** (46 - (75 - PRIME_BITS))
        numbers = {
            "random": np.random.default_rng(0).integers(-most, most, RING_DEGREE).astype(float),
            "constant": np.full(RING_DEGREE, most),
            "alternating": most * (-1.0) ** np.arange(RING_DEGREE),
        }[shape]
        script = tmp_path / "exact.py"
        script.write_text(EXACT)
        assert PYTHON is not None
        with Worker(PYTHON, script, name="exact") as worker:
            (left,) = worker.call(
                "left", [numbers], degree=RING_DEGREE, prime_bits=PRIME_BITS, scale_bits=scale_bits
            ).parts
        assert np.std(left) == pytest.approx(2.0**20, rel=0.06)
