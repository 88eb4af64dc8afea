"""Robust reductions of clients' vectors that stay shared: clipping, medians, trimmed means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..api import sum_job
from ..cards import protocol_card
from ..protocol import SecureSum


def secure_reduce(
    vectors: Sequence[Any],
    *,
    reduction: str,
    protocol: str = "aby3",
    bound: float = 16.0,
    drop: Iterable[int] | Mapping[int, str] = (),
    **settings: Any,
) -> SecureSum:
    """Return a reduction of vectors that no party sees; it stands in `sum` of what is returned.

    Parameters
    ----------
    vectors, bound, drop : as of `secure_sum`
    reduction : "clip": the sum of vectors clipped to an L2 norm; "median" or "trimmed-mean" of
        each coordinate; or "sum"
    protocol : "aby3", "semi2k", or "hybrid" where clients only encrypt
    settings : fields of the protocol, say `clip_norm`, `trim` or `threshold`

    Raises `UsageError` where an environment is missing or a setting makes no sense, and
    `RefusedError` where a vector can't be encoded or the protocol aborts.
    """
    job = sum_job(vectors, bound=bound, drop=drop)
    return protocol_card(protocol).build({"reduction": reduction, **settings}).run(job)
