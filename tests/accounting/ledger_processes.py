"""Processes that charge a ledger: started, killed, and asked what they had paid for."""

import multiprocessing
import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from multiprocessing.process import BaseProcess

FORK = multiprocessing.get_context("fork")


@contextmanager
def children(
    work: Callable[..., None], *shares: tuple[object, ...]
) -> Iterator[tuple[list[BaseProcess], Callable[[], list[int]]]]:
    """Give a process for each share of the work, and what they wrote once they ended."""
    reader, writer = os.pipe()
    processes = [FORK.Process(target=work, args=(*share, writer)) for share in shares]
    for process in processes:
        process.start()
    os.close(writer)

    def ended() -> list[int]:
        for process in processes:
            process.join()
        with os.fdopen(reader) as lines:
            return [int(line) for line in lines]

    yield processes, ended


def killed_before(
    last: int, connect: Callable[..., sqlite3.Connection]
) -> Callable[..., sqlite3.Connection]:
    """A `connect` whose process is killed before its statement number `last`."""
    statements = count(1)

    def die(_: str) -> None:
        if next(statements) == last:
            os.kill(os.getpid(), signal.SIGKILL)

    def traced(*args: object, **options: object) -> sqlite3.Connection:
        db = connect(*args, **options)
        db.set_trace_callback(die)
        return db

    return traced
