"""The console that results are printed on, and what happens when nobody reads them."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console


class Terminal(Console):
    """A console on stdout that leaves a closed pipe to `until_closed`.

    Rich itself would exit with 1, which here is only ever a leak.
    """

    def on_broken_pipe(self) -> None:
        """Raise, instead of exiting."""
        raise BrokenPipeError


@contextmanager
def until_closed() -> Generator[None, None, None]:
    """Print within until the reader closes the pipe; the rest is dropped, the exit code stays."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
