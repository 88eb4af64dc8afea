"""The catalogue of protocols: facts that need nothing imported to read."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.cards import Card

SEMI_HONEST, MALICIOUS = "semi-honest", "malicious (abort)"


@dataclass(frozen=True, kw_only=True, slots=True)
class ProtocolCard(Card):
    """Facts of a protocol for secure sums.

    Fields
    ------
    parties : who computes
    trust : what has to be true of them for the promise to hold
    tolerates : how many may collude without learning a vector
    security : `SEMI_HONEST`, or `MALICIOUS` (parties may send anything; the rest abort)
    leaks : what is learned beside the sum
    rounds : messages that a client sends before the sum is known
    extra : the extra of the package that it needs, if any
    environment : the environment of its own that it runs in, if any
    """

    parties: str
    trust: str
    tolerates: str
    security: str
    leaks: str
    rounds: int
    extra: str = ""
    environment: str = ""


CARDS: tuple[ProtocolCard, ...] = (
    ProtocolCard(
        name="plain",
        summary="No protection: the server sees every vector.",
        implementation="seepage.crypto.plain:PlainSum",
        parties="a server",
        trust="the server is trusted with every vector",
        tolerates="nobody",
        security="none",
        leaks="every vector",
        rounds=1,
    ),
)
