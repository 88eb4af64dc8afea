"""Which clients' vectors are longer than a limit, of which nobody sees an entry or a norm."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import SeepageWarning, UsageError
from .fixed_point import FixedPoint
from .protocol import Floats, client_name
from .tfhe.circuit import norm_circuit
from .tfhe.session import EncryptedBits
from .wire import Cost, PartyView, Wire

_MOST_BITS = 12


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class NormComparison:
    """Who is past the limit, what each party saw and what it cost.

    Fields
    ------
    exceeds : by client, whether the norm of its rounded vector is above the limit
    max_error : a norm is off by no more than this, because entries are rounded
    cost, views : as of any protocol
    gates : that were evaluated for each client
    """

    exceeds: NDArray[np.bool_]
    max_error: float
    cost: Cost
    views: Mapping[str, PartyView]
    gates: int


def compare_norms(
    vectors: Sequence[Any],
    limit: float,
    *,
    bound: float = 1.0,
    bits: int = 4,
    insecure_toy: bool = False,
) -> NormComparison:
    """Return which vectors' Euclidean norms are above `limit`, by FHEW gates (OpenFHE).

    A server that wants to leave out vectors that are too long learns one bit of each client. No
    client states its norm: gates square and add the entries that it encrypted. Who holds the key
    and who may collude are as in `secure_vote`. Some 36 gates for an entry of 4 bits, 135 for
    one of 8, at some 50 ms each.

    Parameters
    ----------
    vectors : by client, `[d]`, entries in [-bound, bound]
    limit : on the norm, in (0, bound * sqrt(d))
    bits : entries are rounded to multiples of bound / (2^bits - 1), 1 to 12
    insecure_toy : parameters that protect nothing, for tests; warns

    Raises `UsageError` for arguments that make no sense or where OpenFHE's environment is
    missing, `RefusedError` for entries out of range.
    """
    given = [np.asarray(vector, np.float64) for vector in vectors]
    shapes = sorted({vector.shape for vector in given})
    if len(shapes) != 1 or len(shapes[0]) != 1 or not shapes[0][0]:
        raise UsageError(f"vectors must be of one length, 1 or more; theirs are {shapes}")
    if not 1 <= bits <= _MOST_BITS:
        raise UsageError(f"bits is {bits}; use 1 to {_MOST_BITS}")
    code = FixedPoint(len(given), bound)
    step = bound / (2**bits - 1)
    entries = len(given[0])
    if not 0 < limit < bound * entries**0.5:
        raise UsageError(
            f"limit is {limit}; norms are in [0, {bound * entries**0.5:g}]: use one between"
        )
    circuit = norm_circuit(entries, bits, floor((limit / step) ** 2))
    if insecure_toy:
        warnings.warn("tfhe: INSECURE TOY parameters protect nothing", SeepageWarning, stacklevel=2)
    wire = Wire()
    encrypted = EncryptedBits(wire, insecure_toy=insecure_toy)
    everybody = range(len(given))
    checked = [code.checked(vector, client_name(c)) for c, vector in enumerate(given)]
    with encrypted.processes(everybody):
        outputs: list[bytes] = []
        for client, vector in enumerate(checked):
            upload = encrypted.upload(client, magnitude_bits(vector / step, bits))
            outputs += encrypted.evaluate(circuit, upload)
        found = encrypted.decrypt(outputs, everybody)
    return NormComparison(
        exceeds=found.astype(np.bool_),
        max_error=step / 2 * entries**0.5,
        cost=wire.cost(rounds=3),
        views=wire.views(),
        gates=len(circuit.gates),
    )


def magnitude_bits(vector: Floats, bits: int) -> NDArray[np.uint8]:
    """Return the bits of rounded magnitudes, `[d * bits]`, the lowest of each first.

    >>> magnitude_bits(np.array([-2.0, 0.6]), 3).tolist()
    [0, 1, 0, 1, 0, 0]
    """
    whole = np.rint(np.abs(vector)).astype(np.int64)
    return (whole[:, None] >> np.arange(bits) & 1).astype(np.uint8).ravel()
