"""Processes that charge a ledger: started, killed, and asked what they had paid for."""

import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
