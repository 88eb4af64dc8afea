"""All processes of a hybrid sum: clients, the server, and two of each computing party."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..environments.cards import OPENFHE, SPU
from ..environments.find import require
from ..environments.worker import Worker
from ..spu.parties import Parties

PARTIES = 3
_HERE = Path(__file__).parent


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Team:
    """Processes that are there for any number of sums.

    Fields
    ------
    clients : has the shares of keys, and no other process ever has one
    server : adds ciphertexts
    parties : encrypt each computing party's masks, which only they and SPU's process of it get
    spu : in which the computing parties compute
    """

    clients: Worker
    server: Worker
    parties: tuple[Worker, ...]
    spu: Parties


@contextmanager
def started(name: str, timeout: float) -> Generator[Team]:
    """Start a team; `UsageError` where an environment is missing, `WorkerError` where one fails."""
    python, _ = require(OPENFHE), require(SPU)
    with ExitStack() as stack:

        def start(script: str, who: str) -> Worker:
            return stack.enter_context(Worker(python, _HERE / script, name=f"{name}: {who}"))

        yield Team(
            clients=start("client_process.py", "clients"),
            server=start("server_process.py", "the server"),
            parties=tuple(start("party_process.py", f"party {rank}") for rank in range(PARTIES)),
            spu=stack.enter_context(Parties("ABY3", PARTIES, timeout)),
        )
