"""Sums by SPDZ that tests run."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from seepage.crypto.entropy import Entropy
from seepage.crypto.protocol import SecureSum, SumJob
from seepage.crypto.spdz.session import SPDZ
from seepage.crypto.spdz.terms import Terms
from seepage.crypto.wire import Wire

Vectors = list[NDArray[np.float64]]


def draw_vectors(clients: int, width: int, seed: int = 0, bound: float = 16.0) -> Vectors:
    """Return uniform vectors."""
    rng = np.random.default_rng(seed)
    return [rng.uniform(-bound, bound, width) for _ in range(clients)]


def run(
    vectors: Vectors,
    parties: int = 3,
    wire: Wire | None = None,
    *,
    seed: int | None = None,
    context: tuple[bytes, ...] = (),
    drop: Mapping[int, str] | None = None,
) -> SecureSum:
    """Return a sum over a wire of one's own."""
    job = SumJob(vectors=tuple(vectors), entropy=Entropy(seed), context=context)
    return SPDZ(parties=parties).run(replace(job, drop=drop or {}), wire)


def terms(clients: int, parties: int, width: int) -> Terms:
    """Return terms with the default bound."""
    return Terms(clients=clients, parties=parties, threshold=2, width=width, bound=16.0)
