"""Runs a script under another Python and calls its functions; see `serve` for the other side."""

from __future__ import annotations

import selectors
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from socket import socketpair
from types import TracebackType
from typing import Any, NoReturn, Self

from ...core.errors import RefusedError
from .frames import Frame, Part, TornFrameError, receive, send

_SERVE = Path(__file__).with_name("serve.py")
_ENDING_SECONDS = 5.0


class WorkerError(RefusedError):
    """A worker did not start, failed, died or did not answer in time; it is ended then."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Answer:
    """What a call gave back; `seconds` is how long it ran in the worker."""

    settings: dict[str, Any]
    parts: list[Part]
    seconds: float


class Worker:
    """A process of `python` that answers calls of `script`, ended with the `with` block.

    Starting takes no wait: the first call does the waiting, for `startup` seconds at most. So
    several start at once. `name` is how errors call it.
    """

    def __init__(self, python: Path, script: Path, *, name: str, startup: float = 60.0) -> None:
        self.name, self._startup, self._ready = name, startup, False
        self.link, other = socketpair()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the worker
        try:
            # In a session of its own, Ctrl-C at a terminal is not sent to it.
            self._process = subprocess.Popen(
                [str(part) for part in (python, "-I", _SERVE, script)],
                stdin=other.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                start_new_session=True,
            )
        except OSError as error:
            self.link.close()
            self._errors.close()
            raise WorkerError(f"{name} did not start: {error}") from error
        finally:
            other.close()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def call(
        self, call: str, parts: Sequence[Part] = (), *, timeout: float = 600.0, **settings: Any
    ) -> Answer:
        """Run a function of the script; raises `WorkerError` in one line where it fails."""
        self.ask(call, parts, **settings)
        return self.answer(timeout)

    def wait(self) -> None:
        """Wait until it has started."""
        if not self._ready:
            self._receive(self._startup, "did not start")
            self._ready = True

    def ask(self, call: str, parts: Sequence[Part] = (), **settings: Any) -> None:
        """Start a call whose answer is read later."""
        self.wait()
        try:
            send(self.link, {"call": call, "settings": settings}, parts)
        except OSError as error:
            self._fail(f"did not take a call: {error}")

    def answer(self, timeout: float = 600.0) -> Answer:
        """Return the answer of the oldest call, with no longer silence than `timeout` seconds."""
        header, parts = self._receive(timeout, "failed")
        return Answer(settings=header["settings"], parts=parts, seconds=header["seconds"])

    def close(self) -> None:
        """End the process, whatever it is at; it has nothing to put away."""
        self.link.close()
        self._process.kill()
        self._process.wait()
        self._errors.close()

    def __enter__(self) -> Self:
        """Return the worker."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """End the process."""
        self.close()

    def _receive(self, timeout: float, trouble: str) -> Frame:
        self.link.settimeout(timeout)
        try:
            frame = receive(self.link)
        except TimeoutError:
            self._fail(f"gave no answer for {timeout:g} seconds")
        except (OSError, TornFrameError):
            frame = None
        if frame is None:
            self._fail(f"died: {self._last_words()}")
        self.link.settimeout(None)
        if "error" in frame[0]:
            self._fail(f"{trouble}: {frame[0]['error']}")
        return frame

    def _last_words(self) -> str:
        """Return how the process ended, and the last line that it wrote."""
        try:
            code = self._process.wait(_ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            return "it closed its link"
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return f"{how}; {lines[-1].strip()[:300]}" if lines else how

    def _fail(self, reason: str) -> NoReturn:
        self._process.kill()
        raise WorkerError(f"{self.name} {reason}; nothing was released")


def answers(workers: Sequence[Worker], timeout: float = 600.0) -> list[Answer]:
    """Return the answer of each; the first that fails raises, whatever the others wait for."""
    found: dict[Worker, Answer] = {}
    with selectors.DefaultSelector() as selector:
        for worker in workers:
            selector.register(worker.link, selectors.EVENT_READ, worker)
        while len(found) < len(workers):
            ready = selector.select(timeout)
            if not ready:
                late = ", ".join(worker.name for worker in workers if worker not in found)
                raise WorkerError(
                    f"{late} gave no answer for {timeout:g} seconds; nothing was released"
                )
            for key, _ in ready:
                found[key.data] = key.data.answer(timeout)
                selector.unregister(key.fileobj)
    return [found[worker] for worker in workers]
