"""Fields of a message as bytes and back, without a way to run code or to read past the end."""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct

from ..core.errors import RefusedError
from .wire import Payload

_LENGTH = Struct(">Q")


def pack(*fields: Payload) -> bytes:
    """Return fields behind their lengths.

    >>> pack(b"ab", b"").hex()
    '000000000000000261620000000000000000'
    """
    return b"".join(part for field in fields for part in (_LENGTH.pack(len(field)), field))


def unpack(payload: Payload, fields: int | None = None) -> list[memoryview]:
    """Return the fields of a message; `RefusedError` where they are torn or of another number."""
    view, found, at = memoryview(payload), list[memoryview](), 0
    while at < len(view):
        if at + _LENGTH.size > len(view):
            raise RefusedError("a message ends within a field: it was torn or tampered with")
        (size,) = _LENGTH.unpack_from(view, at)
        at += _LENGTH.size
        if size > len(view) - at:
            raise RefusedError("a message ends within a field: it was torn or tampered with")
        found.append(view[at : at + size])
        at += size
    if fields is not None and len(found) != fields:
        raise RefusedError(f"a message has {len(found)} fields, and {fields} were expected")
    return found


def pack_numbers(numbers: Sequence[int]) -> bytes:
    """Return whole numbers in [0, 2^32) as bytes."""
    return b"".join(number.to_bytes(4, "big") for number in numbers)


def unpack_numbers(payload: Payload) -> tuple[int, ...]:
    """Return what `pack_numbers` was given; `RefusedError` for bytes that it did not make."""
    if len(payload) % 4:
        raise RefusedError("a list of numbers is torn: the message was tampered with")
    raw = bytes(payload)
    return tuple(int.from_bytes(raw[at : at + 4], "big") for at in range(0, len(raw), 4))
