"""Norms of encrypted vectors against a limit."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from open_gates import evaluated

from seepage.core.errors import RefusedError, SeepageWarning, UsageError
from seepage.crypto.environments.cards import OPENFHE
from seepage.crypto.environments.find import find
from seepage.crypto.norms import compare_norms, magnitude_bits
from seepage.crypto.tfhe.circuit import Circuit, norm_circuit


def exceeds(circuit: Circuit, vectors: np.ndarray, bits: int) -> np.ndarray:
    """Return what gates on open bits say of vectors, `[n, d]`."""
    (found,) = evaluated(circuit, np.stack([magnitude_bits(v, bits) for v in vectors], axis=1))
    return found.astype(bool)


@pytest.mark.parametrize(("entries", "bits"), [(1, 1), (1, 4), (2, 2), (3, 2), (2, 3)])
def test_the_circuit_squares_adds_and_compares_for_all_vectors(entries: int, bits: int) -> None:
    vectors = np.array(list(product(range(2**bits), repeat=entries)))
    squares = (vectors**2).sum(axis=1)
    for limit in range(squares.max()):
        circuit = norm_circuit(entries, bits, limit)
        assert np.array_equal(exceeds(circuit, vectors, bits), squares > limit)
    for limit in (-1, squares.max()):
        with pytest.raises(UsageError, match="sums of squares here go from 0"):
            norm_circuit(entries, bits, int(limit))


@given(entries=st.integers(1, 20), bits=st.integers(1, 8), seed=st.integers(0, 99))
def test_the_circuit_holds_for_longer_vectors(entries: int, bits: int, seed: int) -> None:
    vectors = np.random.default_rng(seed).integers(-(2**bits) + 1, 2**bits, (9, entries))
    vectors[0], vectors[1] = 0, 2**bits - 1
    squares = (vectors**2).sum(axis=1)
    limit = min(int(np.median(squares)), squares.max() - 1)
    assert np.array_equal(
        exceeds(norm_circuit(entries, bits, int(limit)), vectors, bits), squares > limit
    )


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"limit": 0.0}, UsageError, "use one between"),
        ({"limit": 1.5}, UsageError, r"norms are in \[0, 1.41421\]"),
        ({"limit": 1.0, "bits": 13}, UsageError, "use 1 to 12"),
        ({"limit": 0.3, "bound": 0.5}, RefusedError, "client 0: entry 1 is -1"),
    ],
)
def test_what_makes_no_sense_is_refused(
    settings: dict[str, float], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        compare_norms([[0.5, -1.0], [0.0, 0.0]], **settings)


@pytest.mark.skipif(
    find(OPENFHE) is None, reason=f"there is no environment for OpenFHE: {OPENFHE.command} makes it"
)
def test_encrypted_norms_are_compared_and_nothing_else_is_told() -> None:
    vectors = np.array([[0.1, 0.2, 0.0], [0.9, -0.9, 0.9], [-0.6, 0.5, 0.1]])
    norms = np.linalg.norm(vectors, axis=1)
    with pytest.warns(SeepageWarning, match="INSECURE TOY"):
        found = compare_norms(vectors, limit=1.0, bits=3, insecure_toy=True)
    assert (np.abs(norms - 1) > found.max_error).all()
    assert found.exceeds.tolist() == (norms > 1).tolist() == [False, True, False]
    (told,) = found.views["server"].of("bits").values()
    assert bytes(told) == bytes([0, 1, 0])
