"""Majorities of encrypted votes."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from open_gates import evaluated

import seepage
from seepage.core.errors import RefusedError, SeepageWarning, UsageError
from seepage.crypto.environments.cards import OPENFHE
from seepage.crypto.environments.find import find
from seepage.crypto.environments.worker import WorkerError
from seepage.crypto.packing import unpack
from seepage.crypto.tfhe.circuit import Circuit, majority_circuit
from seepage.crypto.tfhe.session import EncryptedBits
from seepage.crypto.vote import SecureVote, majority_from
from seepage.crypto.wire import Wire

openfhe = pytest.mark.skipif(
    find(OPENFHE) is None, reason=f"there is no environment for OpenFHE: {OPENFHE.command} makes it"
)


def majority(circuit: Circuit, votes: np.ndarray) -> np.ndarray:
    """Return the majority of `votes`, `[voters, d]`, as gates on open bits give it."""
    bits = np.stack(evaluated(circuit, votes > 0), axis=1)
    return majority_from(bits, len(circuit.outputs))


@pytest.mark.parametrize("voters", range(2, 11))
def test_the_circuit_is_the_majority_for_every_vote(voters: int) -> None:
    votes = np.array(list(product((-1, 1), repeat=voters))).T
    circuit = majority_circuit(voters)
    assert np.array_equal(majority(circuit, votes), np.sign(votes.sum(axis=0)))
    assert len(circuit.outputs) == 2 - voters % 2
    assert len(circuit.gates) <= 4 * voters


@given(voters=st.integers(11, 200), ones=st.floats(0, 1), seed=st.integers(0, 99))
def test_the_circuit_is_the_majority_for_many_voters(voters: int, ones: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    near = np.array([[voters // 2 + k] for k in range(-1, 3)] + [[int(ones * voters)]])
    votes = np.where(rng.permuted(np.arange(voters) < near, axis=1), 1, -1).T
    assert np.array_equal(majority(majority_circuit(voters), votes), np.sign(votes.sum(axis=0)))


@pytest.mark.parametrize(
    ("signs", "settings", "error", "words"),
    [
        ([[1, 0], [1, 1]], {}, RefusedError, r"client 0: entry 1 is 0, and a vote is -1 or 1"),
        ([[1.0], [np.nan]], {}, RefusedError, r"client 1: entry 0 is nan"),
        ([[1], [1, 1]], {}, UsageError, "one length"),
        ([], {}, UsageError, "one length"),
        ([[1], [1]], {"protocol": "tfh"}, UsageError, "tfhe"),
        ([[1], [1]], {"minimum_cohort": 1}, UsageError, "use 2 or more"),
        ([[1], [1]], {"drop": [2]}, UsageError, "clients are 0 to 1"),
        ([[1], [1]], {"drop": {0: "never"}}, UsageError, "stages keys, upload, decrypt"),
        ([[1], [1]], {"drop": [0]}, RefusedError, "1 clients vote, and the minimum cohort is 2"),
    ],
)
def test_what_makes_no_sense_is_refused(
    signs: list[list[float]], settings: dict[str, object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        seepage.secure_vote(signs, **settings)


def toy_vote(votes: np.ndarray, **settings: object) -> SecureVote:
    with pytest.warns(SeepageWarning, match="INSECURE TOY"):
        return seepage.secure_vote(votes, insecure_toy=True, **settings)


@openfhe
@pytest.mark.parametrize("voters", [2, 3, 8])
def test_an_encrypted_vote_is_the_majority(voters: int) -> None:
    votes = np.random.default_rng(voters).choice([-1, 1], (voters, 4))
    found = toy_vote(votes)
    assert np.array_equal(found.majority, np.sign(votes.sum(axis=0)))
    assert found.survivors == tuple(range(voters))
    assert found.cost.bytes_up_per_client > 10**6
    uploads = [bytes(m) for m in found.views["server"].of("upload").values()]
    assert len(set(uploads)) == voters
    assert all(len(unpack(upload, 4)) == 4 for upload in uploads)


@openfhe
def test_votes_survive_drop_outs_while_somebody_has_the_key() -> None:
    votes = np.array([[1, -1], [1, -1], [-1, 1], [-1, 1], [-1, -1]])
    found = toy_vote(votes, drop={3: "upload", 4: "keys", 0: "decrypt"})
    assert found.survivors == (0, 1, 2)
    assert found.majority.tolist() == [1, -1]
    assert [*found.views["server"].of("bits")] == ["client 1"]
    with pytest.raises(RefusedError, match=r"all clients that hold the key are gone"):
        toy_vote(votes, drop=dict.fromkeys(range(5), "decrypt"))


@openfhe
def test_the_server_has_no_key_to_decrypt_with() -> None:
    wire = Wire()
    with EncryptedBits(wire, insecure_toy=True).processes((0, 1)) as (clients, server):
        votes = [clients.call("encrypt", [np.array([c])], client=c).parts[0] for c in (0, 1)]
        total = server.call("evaluate", votes, gates=[("xor", (0, 1))], outputs=[2]).parts
        assert clients.call("decrypt", total, client=1).parts[0].tolist() == [1]
        with pytest.raises(WorkerError, match="PrivateKey is empty"):
            server.call("decrypt", total)
    assert [*wire.views()["server"].of("evaluation key")] == ["client 0"]
