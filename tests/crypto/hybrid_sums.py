"""Hybrid sums of random rows, and what numpy makes of them."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chisquare

from seepage.crypto.entropy import Entropy
from seepage.crypto.hybrid.parameters import BITS, PRIME_BITS, RING_DEGREE
from seepage.crypto.hybrid.session import Hybrid
from seepage.crypto.hybrid.team import Team
from seepage.crypto.hybrid.words import Words, signed
from seepage.crypto.packing import unpack
from seepage.crypto.protocol import SecureSum, SumJob

Rows = NDArray[np.float64]

STAGES = Hybrid.stages
RING = {"degree": RING_DEGREE, "prime_bits": PRIME_BITS, "bits": BITS}


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
