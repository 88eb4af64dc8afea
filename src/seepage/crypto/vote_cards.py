"""The catalogue of protocols for secure votes: facts that need nothing imported to read."""

from __future__ import annotations

from ..core.cards import Parameter
from .protocol_card import SEMI_HONEST, ProtocolCard

VOTES: tuple[ProtocolCard, ...] = (
    ProtocolCard(
        name="tfhe",
        summary="Clients encrypt signs; the server finds the majority by gates, and has no key.",
        implementation="seepage.crypto.vote:secure_vote",
        reference="Ducas, Micciancio 2015, EUROCRYPT; Lee et al. 2023, EUROCRYPT",
        year=2015,
        parameters=(
            Parameter(
                name="minimum_cohort",
                default=2,
                summary="fewest votes whose majority is revealed, 2 or more",
            ),
            Parameter(
                name="insecure_toy",
                default=False,
                summary="INSECURE: parameters that protect nothing, for tests",
            ),
        ),
        parties="a server without the key, clients with it",
        trust="no client works with the server, and the server passes on keys as it got them",
        tolerates="the server alone; a client and the server read every vote",
        security=SEMI_HONEST,
        leaks="who takes part; a gate is wrong, unnoticed, with a chance of some 2^-40",
        rounds=3,
        expansion=1200.0,
        environments=("openfhe",),
    ),
)
