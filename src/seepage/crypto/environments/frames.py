"""Messages between seepage and a worker under another Python: a JSON header, arrays and bytes.

A frame is a mark, the length of its header, the header, and the bytes of each part in turn. What
comes in is data only: nothing is ever unpickled. Both sides use this file, and the other side
has no seepage: it imports the standard library and numpy only, and runs on Python 3.10.
"""

from __future__ import annotations

import json
from struct import Struct
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence
    from socket import socket

Part = bytes | bytearray | memoryview | NDArray[Any]
Frame = tuple[dict[str, Any], list[Part]]

_MARK = b"SPG1"
_HEAD = Struct(">4sQ")
_MOST_HEADER = 1 << 26
_NUMBERS = "biufc"
"""Kinds of numpy types that are plain memory; an object's would be a pointer."""


class TornFrameError(Exception):
    """What came in is no frame, or ends within one."""


def send(link: socket, header: dict[str, Any], parts: Sequence[Part] = ()) -> None:
    """Send a header that JSON can hold, and parts: arrays of numbers, or bytes."""
    kinds, raw = list[dict[str, Any]](), list[memoryview]()
    for part in parts:
        if isinstance(part, np.ndarray):
            if part.dtype.kind not in _NUMBERS:
                raise TypeError(f"an array of {part.dtype} can't be sent: it does not hold numbers")
            flat = np.ascontiguousarray(part).reshape(-1).view(np.uint8)
            kinds.append({"dtype": part.dtype.str, "shape": part.shape})
            raw.append(flat.data)
        else:
            kinds.append({"size": len(part)})
            raw.append(memoryview(part))
    text = json.dumps({"header": header, "parts": kinds}).encode()
    link.sendall(_HEAD.pack(_MARK, len(text)) + text)
    for block in raw:
        link.sendall(block)


def receive(link: socket) -> Frame | None:
    """Return the next header and its parts; None where the other side ended between frames.

    Raises `TornFrameError` for anything else that is no whole frame.
    """
    head = bytearray(_HEAD.size)
    got = link.recv_into(head)
    if not got:
        return None
    _fill(link, memoryview(head)[got:])
    mark, size = _HEAD.unpack(head)
    if mark != _MARK or size > _MOST_HEADER:
        raise TornFrameError("what came in is no frame")
    text = bytearray(size)
    _fill(link, memoryview(text))
    try:
        frame = json.loads(text)
        header, kinds = dict(frame["header"]), list(frame["parts"])
        parts: list[Part] = [_room(kind) for kind in kinds]
    except (ValueError, TypeError, KeyError, MemoryError) as error:
        raise TornFrameError(f"the header of a frame is odd: {error}") from error
    for part in parts:
        flat = part.reshape(-1).view(np.uint8).data if isinstance(part, np.ndarray) else part
        _fill(link, memoryview(flat))
    return header, parts


def _room(kind: dict[str, Any]) -> bytearray | NDArray[Any]:
    if "size" in kind:
        return bytearray(kind["size"])
    dtype = np.dtype(kind["dtype"])
    if dtype.kind not in _NUMBERS:
        raise ValueError(f"an array of {dtype} does not hold numbers")
    return np.empty(tuple(kind["shape"]), dtype)


def _fill(link: socket, room: memoryview) -> None:
    while len(room):
        got = link.recv_into(room)
        if not got:
            raise TornFrameError("the other side ended within a frame")
        room = room[got:]
