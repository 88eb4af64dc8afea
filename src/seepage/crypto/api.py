"""`seepage.secure_sum`: the sum of clients' vectors by any of the protocols."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import ceil, isfinite, log2
from typing import Any

import numpy as np

from ..core.errors import UsageError
from .cards import protocol_card
from .entropy import Entropy
from .protocol import UPLOAD, SecureSum, SumJob, Vector


def secure_sum(
    vectors: Sequence[Any],
    *,
    protocol: str,
    weights: Sequence[float] | None = None,
    bound: float = 16.0,
    drop: Iterable[int] | Mapping[int, str] = (),
    threshold: int | None = None,
    seed: int | None = None,
    weight_bound: float | None = None,
) -> SecureSum:
    """Return the sum of clients' vectors, and what each party saw of them.

    Parameters
    ----------
    vectors : by client, `[d]`: numbers in [-bound, bound]
    protocol : "plain", "masking", "spdz", "aby3", "semi2k", "ckks", "threshold-ckks" or "hybrid"
    weights : by client, in [0, `weight_bound`]: the sum is of weight times vector. As secret as the
        vectors: only their sum is learned
    bound : public range of an entry, > 0
    drop : clients that send no vector, or client -> the stage that it is not there for any more
    threshold : clients that are needed for the sum to be revealed (None: as the protocol says)
    seed : of a simulation that can be repeated; nothing is secret from who knows it (None: the
        operating system's generator)
    weight_bound : public range of a weight (None: the power of two from the largest weight up)

    Raises `UsageError` for arguments that make no sense, `RefusedError` where a vector can't be
    encoded or the protocol aborts; nothing is released then.

    >>> secure_sum([[1.0, 2.0], [0.5, -1.0]], protocol="plain").sum.tolist()
    [1.5, 1.0]
    """
    card = protocol_card(protocol)
    settings = {} if threshold is None else {"threshold": threshold}
    if settings and "threshold" not in {p.name for p in card.parameters}:
        raise UsageError(f"{protocol} has no threshold: leave it out")
    job = sum_job(
        vectors, weights=weights, bound=bound, drop=drop, seed=seed, weight_bound=weight_bound
    )
    return card.build(settings).run(job)


def sum_job(
    vectors: Sequence[Any],
    *,
    weights: Sequence[float] | None = None,
    bound: float = 16.0,
    drop: Iterable[int] | Mapping[int, str] = (),
    seed: int | None = None,
    weight_bound: float | None = None,
) -> SumJob:
    """Return what a protocol is to add up; parameters and errors as of `secure_sum`."""
    given = tuple(_vector(vector, client) for client, vector in enumerate(vectors))
    if not given:
        raise UsageError("there are no vectors to add: give one a client")
    lengths = sorted({len(vector) for vector in given})
    if len(lengths) > 1:
        raise UsageError(f"vectors must be of one length, and theirs are {lengths}")
    return SumJob(
        vectors=given,
        weights=None if weights is None else tuple(map(float, weights)),
        weight_bound=_weight_bound(weights, weight_bound, len(given)),
        bound=float(bound),
        drop=dict(drop) if isinstance(drop, Mapping) else dict.fromkeys(drop, UPLOAD),
        entropy=Entropy(seed),
    )


def _vector(vector: Any, client: int) -> Vector:
    given = np.asarray(vector)
    found: Vector
    if given.dtype == np.float32:
        found = np.ascontiguousarray(given, np.float32)
    else:
        found = np.ascontiguousarray(given, np.float64)
    if found.ndim != 1 or not len(found):
        raise UsageError(
            f"client {client}: a vector has one axis and an entry at least, and this is of shape "
            f"{found.shape}"
        )
    return found


def _weight_bound(weights: Sequence[float] | None, bound: float | None, clients: int) -> float:
    if weights is None:
        return 1.0
    if len(weights) != clients:
        raise UsageError(f"there are {len(weights)} weights for {clients} vectors")
    odd = [w for w in weights if not (isfinite(w) and w >= 0)]
    if odd:
        raise UsageError(f"a weight is {odd[0]}; use finite ones, 0 or more")
    most = max(weights)
    if bound is None:
        return 2.0 ** ceil(log2(most)) if most else 1.0
    if not (isfinite(bound) and bound > 0) or most > bound:
        raise UsageError(f"a weight is {most}, and the public bound of weights is {bound}")
    return float(bound)
