"""Work spread over processes, each with one thread, that leave Ctrl-C to who started them."""

from __future__ import annotations

import ctypes
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

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def over_processes(work: Callable[[T], R], parts: Iterable[T], cores: int) -> Iterator[R]:
    """Yield what `work` makes of each part, in their order, by `cores` processes."""
    spread: Any = joblib.Parallel(
        n_jobs=cores, inner_max_num_threads=1, return_as="generator", initializer=_start
    )
    yield from spread(joblib.delayed(work)(part) for part in parts)
    get_reusable_executor().shutdown(wait=True)


def _start() -> None:
    torch.set_num_threads(1)
    _keep_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a worker's traceback tells nobody anything


def _keep_memory() -> None:
    """Let the C library hand freed tensors out again, not back to the system.

    A fresh process gives back each step's tensors and takes a page fault for every page of the
    next step's: a third of its time, measured on MLPs of 256 units. Only glibc has these settings
    (mallopt(3)); elsewhere nothing is done.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(_M_TRIM_THRESHOLD, 1 << 30)
        mallopt(_M_MMAP_THRESHOLD, 1 << 25)  # the most that every version allows
