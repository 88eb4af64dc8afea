"""SEMI2K: additive shares modulo 2^64 among two parties or more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ...core.errors import UsageError, require_least
from .session import SPUSum


@dataclass(frozen=True, kw_only=True)
class SEMI2K(SPUSum):
    """Additive shares (Cramer et al. 2018, without its MACs), of which all parties' open a number.

    A sum needs nothing else. A clip, a median or a trimmed mean multiplies, and the triples for
    that come from party 0, which can then open every vector: SPU 0.9.5 comes without a server for
    a trusted third party, and has no way to make triples among the parties.

    Fields
    ------
    parties : that compute, >= 2
    trusted_first_party : allow what needs triples, and with them party 0 to see everything

    Others: see `SPUSum`.
    """

    name: ClassVar[str] = "semi2k"
    protocol: ClassVar[str] = "SEMI2K"

    parties: int = 2
    trusted_first_party: bool = False

    def __post_init__(self) -> None:
        SPUSum.__post_init__(self)
        require_least(self.name, self, parties=2)
        if self.reduction != "sum" and not self.trusted_first_party:
            raise UsageError(
                f"semi2k: {self.reduction} needs triples, which party 0 makes, and who makes them "
                f"can open every vector: use aby3, or set trusted_first_party to accept that"
            )

    @property
    def computing(self) -> int:
        """The number of computing parties."""
        return self.parties
