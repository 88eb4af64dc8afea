"""Progress with an estimate of the time left, on stderr: stdout is for the result."""

from __future__ import annotations

import time
from typing import IO, Any

_SECONDS_APART = 5.0


class Progress:
    """One line that is rewritten on a terminal, and a line a cell elsewhere."""

    def __init__(self, stream: IO[str]) -> None:
        self.stream = stream
        self._started = time.monotonic()
        self._terminal = stream.isatty()
        self._first = 0
        self._part_started = self._told = self._started

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: Any) -> None:
        if self._terminal:
            self.stream.write("\r\x1b[K")
            self.stream.flush()

    def say(self, message: str) -> None:
        """Say what is being done now."""
        if self._terminal:
            self.stream.write(f"\r\x1b[Kseepage: {message[:90]}")
            self.stream.flush()
        else:
            print(f"seepage: {message}", file=self.stream, flush=True)

    def cell(self, name: str, finished: int, total: int) -> None:
        """Say which cell starts, and when all will be done if the rest are like the first."""
        spent = time.monotonic() - self._started
        left = f", about {spent / finished * (total - finished):.0f} s left" if finished else ""
        self.say(f"[{finished + 1}/{total}] {name}{left}")

    def part(self, name: str, done: int, total: int) -> None:
        """Say how many are made, and when all will be, at most every few seconds."""
        now = time.monotonic()
        if done <= self._first or not self._first:
            self._first, self._part_started, self._told = done, now, now
        elif now - self._told > _SECONDS_APART:
            self._told = now
            each = (now - self._part_started) / (done - self._first)
            self.say(f"    {done} of {total} {name}, about {each * (total - done):.0f} s left")
