"""Work spread over processes, each with one thread, that leave Ctrl-C to who started them."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import joblib
import torch
from joblib.externals.loky import get_reusable_executor

T = TypeVar("T")
R = TypeVar("R")

WORTH_PROCESSES = 15.0
"""Seconds of work left from which starting worker processes pays for itself."""


def over_processes(work: Callable[[T], R], parts: Iterable[T], cores: int) -> Iterator[R]:
    """Yield what `work` makes of each part, in their order, by `cores` processes."""
    spread: Any = joblib.Parallel(
        n_jobs=cores, inner_max_num_threads=1, return_as="generator", initializer=_start
    )
    yield from spread(joblib.delayed(work)(part) for part in parts)
    get_reusable_executor().shutdown(wait=True)


def _start() -> None:
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a worker's traceback tells nobody anything
