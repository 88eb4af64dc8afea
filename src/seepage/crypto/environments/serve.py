"""What a worker runs: `python -I serve.py SCRIPT`, under a Python that has no seepage.

The script has `CALLS`: names -> functions that take (settings, parts) and return (settings,
parts), where settings are a dict that JSON can hold, and parts are arrays or bytes. Calls come in
and answers go out by standard input, which is a socket; whatever a library prints goes to the
standard error. The worker ends as soon as the other side does. Python 3.10 runs this file.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from queue import SimpleQueue
from socket import socket
from threading import Thread
from time import perf_counter
from typing import TYPE_CHECKING, Any

# -I keeps the folders of both files off the path; at its end they can't hide what is installed.
sys.path += [str(Path(__file__).parent), str(Path(sys.argv[-1]).parent)]

from frames import TornFrameError, receive, send  # pyright: ignore

if TYPE_CHECKING:
    from collections.abc import Callable

    from .frames import Frame, Part, TornFrameError, receive, send

    Call = Callable[[dict[str, Any], list[Part]], tuple[dict[str, Any], list[Part]]]
else:
    from frames import TornFrameError, receive, send


def main(script: str) -> None:
    """Answer calls until the other side is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    link = socket(fileno=os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    incoming: SimpleQueue[Frame] = SimpleQueue()
    Thread(target=_listen, args=(link, incoming), daemon=True).start()
    try:
        calls = _calls(script)
    except BaseException as error:
        send(link, {"error": _line(error)})
        return
    send(link, {"ready": True})
    while True:
        _answer(link, calls, *incoming.get())


def _answer(
    link: socket, calls: dict[str, Call], header: dict[str, Any], parts: list[Part]
) -> None:
    started = perf_counter()
    try:
        settings, found = calls[header["call"]](header["settings"], parts)
    except BaseException as error:
        send(link, {"error": _line(error)})
    else:
        send(link, {"settings": settings, "seconds": perf_counter() - started}, found)


def _listen(link: socket, incoming: SimpleQueue[Frame]) -> None:
    """Read ahead, so that the end of the other side is seen in the middle of a call."""
    try:
        while frame := receive(link):
            incoming.put(frame)
    except (OSError, TornFrameError):
        pass
    os._exit(0)


def _calls(script: str) -> dict[str, Call]:
    spec = spec_from_file_location("script", script)
    if spec is None or spec.loader is None:
        raise ImportError(f"{script} is no Python file")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.CALLS


def _line(error: BaseException) -> str:
    said = " ".join(f"{type(error).__name__}: {error}".split())
    return re.split("stacktrace", said, flags=re.IGNORECASE)[0].rstrip(" .:")[:500]


if __name__ == "__main__":
    main(sys.argv[1])
