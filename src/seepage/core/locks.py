"""A lock on a file that the system drops when its process dies, however it dies."""

from __future__ import annotations

from pathlib import Path
from typing import IO

from .errors import UsageError


def locked(path: Path, busy: str) -> IO[str]:
    """Hold a lock until what is returned is closed; `UsageError` says `busy` if another does."""
    handle = path.open("w")
    try:
        import fcntl
    except ImportError:  # Windows: nothing is locked there
        return handle
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        handle.close()
        raise UsageError(busy) from error
    return handle
