"""What a protocol for secure sums promises, to whom, and what it needs; how to get that."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.cards import Card
from ..core.errors import UsageError

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
    expansion : bytes that a client sends of its vector, to those of float32
    extra, module : the extra of the package that it needs, and the module that this installs
    environments : the environments of their own that it runs in, if any
    client_ms, server_ms, offline_ms : milliseconds of work per million parameters, of one client,
        of the busiest party that is no client, and of a dealer before any vector is known; measured
        with 8 clients by `benchmarks/secure_sum.py`, as `benchmarks/results/secure_sum.md` shows
        (None: not measured, or there is no dealer)
    """

    parties: str
    trust: str
    tolerates: str
    security: str
    leaks: str
    rounds: int
    expansion: float = 1.0
    extra: str = ""
    module: str = ""
    environments: tuple[str, ...] = ()
    client_ms: float | None = None
    server_ms: float | None = None
    offline_ms: float | None = None

    def missing(self) -> str:
        """Return how to get what it needs and is not there; empty where nothing is missing."""
        from importlib.util import find_spec

        if self.module and find_spec(self.module) is None:
            return f"pip install 'seepage[{self.extra}]'"
        if self.environments:
            from .environments.cards import ENVIRONMENTS
            from .environments.find import lacking

            return lacking([ENVIRONMENTS[name] for name in self.environments])
        return ""

    def require(self) -> None:
        """Raise `UsageError` on one line where something that it needs is not there."""
        if how := self.missing():
            raise UsageError(f"{self.name} needs what is not installed here: {how}")
