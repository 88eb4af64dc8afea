"""ABY3: three parties, each of which holds two of the three parts of every number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .session import SPUSum


@dataclass(frozen=True, kw_only=True)
class ABY3(SPUSum):
    """Replicated shares among three parties of whom no two collude (Mohassel, Rindal 2018).

    Fields: see `SPUSum`.
    """

    name: ClassVar[str] = "aby3"
    protocol: ClassVar[str] = "ABY3"

    @property
    def computing(self) -> int:
        """The number of computing parties."""
        return 3
