"""`seepage.secure_vote`: the majority of clients' signs, of which nobody sees one."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import RefusedError, SeepageWarning, UsageError
from ..core.names import nearest
from .processes import SERVER
from .tfhe.circuit import majority_circuit
from .tfhe.session import EncryptedBits, refuse
from .vote_cards import VOTES
from .wire import Cost, PartyView, Wire

STAGES = ("keys", "upload", "decrypt")
_KNOWN = {card.name: card for card in VOTES}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SecureVote:
    """The majority, who voted, what each party saw and what it cost.

    Fields
    ------
    majority : `[d]`: 1 or -1 for more than half of the votes, 0 for a tie
    survivors : the clients whose votes count
    cost : seconds and bytes; the client that makes the key sends a gigabyte of evaluation key
    views : party -> what it received, and the majority as its `sum`, if it learned it
    gates : that were evaluated for each entry
    """

    majority: NDArray[np.int8]
    survivors: tuple[int, ...]
    cost: Cost
    views: Mapping[str, PartyView] = field(repr=False)
    gates: int


def secure_vote(
    signs: Sequence[Any],
    protocol: str = "tfhe",
    *,
    drop: Iterable[int] | Mapping[int, str] = (),
    minimum_cohort: int = 2,
    insecure_toy: bool = False,
) -> SecureVote:
    """Return the sign that most clients chose, for each entry of a short vector.

    Clients share a key; the server counts encrypted votes and compares the count by gates, and
    learns the majority only. A client and the server together read every vote. Semi-honest. A
    vote takes a fresh key: seconds to make and a gigabyte to send, whatever its length, and a
    gate takes some 50 ms.

    Parameters
    ----------
    signs : by client, `[d]`: -1 or 1
    protocol : "tfhe"
    drop : clients that send no vote, or client -> the stage ("keys", "upload" or "decrypt") that
        it is not there for any more
    minimum_cohort : fewest votes whose majority is revealed, >= 2
    insecure_toy : parameters that protect nothing, for tests; warns

    Raises `UsageError` for arguments that make no sense or where OpenFHE's environment is
    missing, `RefusedError` for what is no sign and where too few clients are left.
    """
    if protocol not in _KNOWN:
        raise UsageError(f"no vote protocol is called {protocol!r}{nearest(protocol, _KNOWN)}")
    if minimum_cohort < 2:
        raise UsageError(f"tfhe: minimum_cohort is {minimum_cohort}; use 2 or more")
    given = _signs(signs)
    gone = dict(drop) if isinstance(drop, Mapping) else dict.fromkeys(drop, "upload")
    if insecure_toy:
        warnings.warn("tfhe: INSECURE TOY parameters protect nothing", SeepageWarning, stacklevel=2)
    there = {stage: _there(stage, len(given), gone) for stage in STAGES}
    voters = there["upload"]
    if len(voters) < minimum_cohort:
        refuse(f"{len(voters)} clients vote, and the minimum cohort is {minimum_cohort}")
    wire, circuit = Wire(), majority_circuit(len(voters))
    encrypted = EncryptedBits(wire, insecure_toy=insecure_toy)
    with encrypted.processes(there["keys"]):
        uploads = [encrypted.upload(c, (given[c] > 0).astype(np.uint8)) for c in voters]
        entries = zip(*uploads, strict=True)
        outputs = [bit for entry in entries for bit in encrypted.evaluate(circuit, entry)]
        bits = encrypted.decrypt(outputs, there["decrypt"])
    majority = majority_from(bits, len(circuit.outputs))
    wire.learned(SERVER, majority.astype(np.float64))
    return SecureVote(
        majority=majority,
        survivors=voters,
        cost=wire.cost(rounds=len(STAGES)),
        views=wire.views(),
        gates=len(circuit.gates),
    )


def majority_from(bits: NDArray[np.uint8], outputs: int) -> NDArray[np.int8]:
    """Return -1, 0 or 1 for each entry from its `outputs` bits: 1 counts 2, or 1 where two tell."""
    ones = bits.reshape(-1, outputs).sum(axis=1)
    return (2 * ones // outputs - 1).astype(np.int8)


def _signs(signs: Sequence[Any]) -> tuple[NDArray[np.int8], ...]:
    vectors = [np.asarray(vector) for vector in signs]
    shapes = sorted({vector.shape for vector in vectors})
    if len(shapes) != 1 or len(shapes[0]) != 1 or not shapes[0][0]:
        raise UsageError(
            f"votes are vectors of one length, with an entry at least; theirs are {shapes}"
        )
    for client, vector in enumerate(vectors):
        odd = np.flatnonzero(~np.isin(vector, (-1, 1)))
        if len(odd):
            raise RefusedError(
                f"client {client}: entry {odd[0]} is {vector[odd[0]]}, and a vote is -1 or 1; "
                "nothing was sent"
            )
    return tuple(vector.astype(np.int8) for vector in vectors)


def _there(stage: str, clients: int, gone: Mapping[int, str]) -> tuple[int, ...]:
    for client, last in gone.items():
        if not 0 <= client < clients or last not in STAGES:
            raise UsageError(
                f"tfhe: drop says that client {client} is gone at {last!r}; clients are 0 to "
                f"{clients - 1}, stages {', '.join(STAGES)}"
            )
    at = STAGES.index(stage)
    return tuple(c for c in range(clients) if c not in gone or at < STAGES.index(gone[c]))
