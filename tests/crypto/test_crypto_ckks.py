"""Sums under CKKS: exact, opened by clients that hold the key, by nobody else."""

import sys
from contextlib import suppress
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seepage.core.errors import MissingExtraError, RefusedError, SeepageWarning, UsageError
from seepage.crypto.api import secure_sum
from seepage.crypto.ckks.parameters import Parameters
from seepage.crypto.ckks.session import CKKS
from seepage.crypto.entropy import Entropy
from seepage.crypto.environments.worker import WorkerError
from seepage.crypto.packing import pack, unpack
from seepage.crypto.protocol import SecureSum, SumJob


def job(clients: int = 3, width: int = 5, seed: int = 0, **settings: object) -> SumJob:
    vectors = tuple(np.random.default_rng(seed).uniform(-1, 1, (clients, width)))
    return SumJob(vectors=vectors, entropy=Entropy(seed), bound=1.0, **settings)


def exact(protocol: CKKS, given: SumJob, survivors: tuple[int, ...]) -> np.ndarray:
    """Return the survivors' sum as integers give it."""
    code, total = protocol.parameters.code(given.clients, given.bound), 0.0
    for client in survivors:
        words = np.zeros(given.width, np.uint64)
        code.encode(given.contribution(client), words)
        total += code.decode(words)
    return total


def test_without_the_extra_a_sum_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tenseal.sealapi", None)
    monkeypatch.delitem(sys.modules, "seepage.crypto.ckks.seal_scheme", raising=False)
    monkeypatch.delitem(sys.modules, "seepage.crypto.ckks.client", raising=False)
    with pytest.raises(MissingExtraError, match=r"seepage\[he\]"):
        secure_sum([[1.0], [2.0]], protocol="ckks")


@pytest.mark.parametrize(("degree", "bits"), [(1024, 28), (2048, 55)])
def test_parameters_below_128_bit_security_are_refused_unless_called_toys(
    degree: int, bits: int
) -> None:
    with pytest.raises(UsageError, match="less than 128-bit secure"):
        CKKS(poly_modulus_degree=degree, modulus_bits=bits)
    CKKS(poly_modulus_degree=degree, modulus_bits=bits - 1)
    toy = CKKS(poly_modulus_degree=degree, modulus_bits=bits, insecure_toy=True)
    lost = job(drop={0: "keys", 1: "keys", 2: "keys"})
    with pytest.warns(SeepageWarning, match="INSECURE TOY"), suppress(UsageError):
        toy.run(lost)


def test_more_clients_leave_fewer_bits_until_there_are_none() -> None:
    ring = Parameters(degree=4096, modulus_bits=60)
    errors = [ring.code(clients, 16.0).max_error for clients in (2, 8, 100, 10_000)]
    assert all(few < many for few, many in pairwise(errors))
    assert errors[1] < 1e-6
    with pytest.raises(UsageError, match="use more"):
        Parameters(degree=2048, modulus_bits=30).code(8, 16.0)
    with pytest.raises(UsageError, match="no fractional bit"):
        ring.code(8, 1e9)


class TestSum:
    @pytest.fixture(autouse=True)
    def _needs_tenseal(self) -> None:
        pytest.importorskip("tenseal", reason="the extra he is not installed")

    @pytest.mark.filterwarnings("ignore:ckks. INSECURE TOY")
    @settings(max_examples=8, deadline=None)
    @given(
        clients=st.integers(2, 6),
        width=st.sampled_from([1, 2, 1023, 1024, 1025, 3000]),
        gone=st.dictionaries(st.integers(0, 5), st.sampled_from(CKKS.stages), max_size=4),
        weighted=st.booleans(),
    )
    def test_the_survivors_sum_is_exact_or_the_sum_is_aborted(
        self, clients: int, width: int, gone: dict[int, str], weighted: bool
    ) -> None:
        drop = {client: stage for client, stage in gone.items() if client < clients}
        weights = tuple(range(clients)) if weighted else None
        given = job(clients, width, drop=drop, weights=weights, weight_bound=8.0)
        protocol = CKKS(poly_modulus_degree=1024, modulus_bits=60, insecure_toy=True)
        alive = tuple(c for c in range(clients) if drop.get(c) not in ("keys", "upload"))
        holders = [c for c in range(clients) if drop.get(c) != "keys"][:2]
        if len(alive) < 2 or all(c in drop for c in holders):
            with pytest.raises(RefusedError, match=r"nothing was released|nobody else can decrypt"):
                protocol.run(given)
            return
        found = protocol.run(given)
        assert found.survivors == alive
        want, weight = given.result(exact(protocol, given, alive), alive)
        assert np.array_equal(found.sum, want)
        assert found.weight == weight
        factors = np.ones(clients) if weights is None else np.array(weights)
        truth = sum(factors[c] * given.vectors[c] for c in alive)
        assert np.abs(found.sum - truth).max() <= found.max_error

    def test_the_stated_error_is_met_and_never_passed(self) -> None:
        half_a_step = 2.0 ** -(CKKS().parameters.code(8, 16.0).fraction_bits + 1)
        vectors = np.full((8, 3), half_a_step)
        vectors[:, 1] = 16.0
        found = secure_sum(vectors, protocol="ckks")
        errors = np.abs(found.sum - vectors.sum(axis=0))
        assert 0.99 * found.max_error < errors.max() <= found.max_error < 1e-6
        assert errors[1] == 0

    @pytest.mark.parametrize(("degree", "bits"), [(2048, 54), (4096, 60), (8192, 60)])
    def test_the_noise_of_a_slot_is_within_its_bound(self, degree: int, bits: int) -> None:
        from seepage.crypto.ckks.seal_scheme import SEED_BYTES, Scheme

        scheme, ring = Scheme(degree, bits), Parameters(degree=degree, modulus_bits=bits)
        secret = scheme.secret_key(Entropy(0).bytes(SEED_BYTES))
        public = scheme.public_key(secret)
        numbers, total = np.full(degree, 2.0**20), []
        for _ in range(16):
            ciphers = scheme.encrypt([numbers], ring.scale_bits(16), public)
            total = scheme.add(total, list(ciphers))
        off = scheme.decrypt(scheme.stored(total)[0], secret) - 16 * numbers
        noise = np.abs(off).max() * 2.0 ** ring.scale_bits(16)
        assert ring.noise(16) / 300 < noise < ring.noise(16)

    def test_what_is_handed_on_depends_on_nothing_but_the_vectors(self) -> None:
        runs = [secure_sum(job().vectors, protocol="ckks") for _ in range(2)]
        sums = [bytes(run.views["server"].of("sum")["client 0"]) for run in runs]
        uploads = [bytes(run.views["server"].of("upload")["client 1"]) for run in runs]
        assert sums[0] == sums[1]
        assert uploads[0] != uploads[1]

    def test_the_aggregators_process_can_add_and_can_not_decrypt(self) -> None:
        protocol = CKKS()
        run = protocol.run(job())
        key = protocol.ring.use(2, range(3))
        assert key is not None
        with protocol.aggregator(key.public) as aggregator:
            for upload in run.views["server"].of("upload").values():
                aggregator.call("add", [bytes(field) for field in unpack(upload)])
            total = aggregator.call("total").parts
            with pytest.raises(WorkerError, match="secret key is not valid"):
                aggregator.call("decrypt", total)
        received = b"".join(bytes(m.payload) for m in run.views["server"].received)
        assert key.seed not in received
        assert [m.kind for m in run.views["server"].received][:3] == [
            "agreement key", "sealed key", "public key",
        ]  # fmt: skip

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 16.01, -1e30])
    def test_what_can_not_be_encoded_is_refused(self, bad: float) -> None:
        with pytest.raises(RefusedError, match=r"client 1: entry 2.*nothing was sent"):
            secure_sum([[0.0] * 3, [0.0, 0.0, bad], [0.0] * 3], protocol="ckks")

    @pytest.mark.parametrize("drop", [{0: "decrypt"}, {0: "upload"}, {0: "keys", 1: "decrypt"}])
    def test_another_holder_decrypts_where_the_first_is_lost(self, drop: dict[int, str]) -> None:
        run = CKKS().run(job(4, drop=drop))
        (holder,) = run.views["server"].of("sum")
        assert holder == ("client 2" if 1 in drop else "client 1")
        assert run.views[holder].sum is not None

    def test_all_holders_lost_is_an_abort_that_says_what_to_do(self) -> None:
        with pytest.raises(RefusedError, match=r"all 2 clients that hold the key are gone.*anew"):
            CKKS().run(job(4, drop={0: "decrypt", 1: "upload"}))
        assert CKKS(key_holders=3).run(job(4, drop={0: "decrypt", 1: "upload"})).sum.any()

    def test_keys_are_replaced_after_so_many_sums_or_when_told_to(self) -> None:
        protocol = CKKS(rotate_every=2)
        keys = [public_key(protocol.run(job())) for _ in range(4)]
        assert keys[0] == keys[1] != keys[2] == keys[3]
        once = CKKS(rotate_every=9)
        before = public_key(once.run(job()))
        once.ring.rotate()
        after = public_key(once.run(job()))
        assert before != after != public_key(once.run(job(drop={0: "keys", 1: "keys"}, clients=4)))

    def test_a_sum_under_another_key_or_out_of_range_is_not_opened(self) -> None:
        from seepage.crypto.ckks.client import encrypted, opened
        from seepage.crypto.ckks.seal_scheme import SEED_BYTES, Scheme

        scheme, ring = Scheme(4096, 60), Parameters(degree=4096, modulus_bits=60)
        seeds = [Entropy(n).bytes(SEED_BYTES) for n in range(2)]
        public = scheme.public_key(scheme.secret_key(seeds[0]))
        code, bits = ring.code(2, 1.0), ring.scale_bits(2)
        upload = encrypted(np.full(9, 0.75), code, scheme, bits, public)
        assert (
            code.decode(opened(upload, code, scheme, seeds[0], clients=1, width=9)).tolist()
            == [0.75] * 9
        )
        twice = pack(*scheme.stored(scheme.add(scheme.add([], unpack(upload)), unpack(upload))))
        for total, seed, width in ((twice, 0, 9), (upload, 1, 9), (upload, 0, 5000)):
            with pytest.raises(RefusedError, match="no sum under this key"):
                opened(total, code, scheme, seeds[seed], clients=1, width=width)

    def test_a_torn_upload_is_refused_by_the_aggregator(self) -> None:
        protocol = CKKS()
        run = protocol.run(job())
        (field,) = unpack(run.views["server"].of("upload")["client 0"])
        with (
            protocol.aggregator(public_key(run)) as aggregator,
            pytest.raises(WorkerError, match=r"aggregator failed.*nothing was released"),
        ):
            aggregator.call("add", [bytes(field[:-9])])


def public_key(run: SecureSum) -> bytes:
    (found,) = run.views["server"].of("public key").values()
    return bytes(found)
