"""Remembers what is dear to make from tensors, by their content.

An attack has no state: what it returns must not depend on what ran before it. So what is
remembered depends on nothing but its key, and is what making it again would give.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

V = TypeVar("V")


class Memory(Generic[V]):
    """Things by key, of `most_bytes` in all; those least recently used are forgotten first.

    `tensors` gives the tensors that a thing holds, by which its size is known.
    """

    def __init__(self, tensors: Callable[[V], Iterable[Tensor]], *, most_bytes: int) -> None:
        self._tensors = tensors
        self._most_bytes = most_bytes
        self._held: OrderedDict[Hashable, V] = OrderedDict()

    def recall(self, key: Hashable, make: Callable[[], V]) -> V:
        """Return what is remembered under `key`, made if it is not."""
        if key not in self._held:
            self._held[key] = make()
        self._held.move_to_end(key)
        while len(self._held) > 1 and sum(map(self._bytes, self._held.values())) > self._most_bytes:
            self._held.popitem(last=False)
        return self._held[key]

    def forget(self) -> None:
        """Drop all that is remembered."""
        self._held.clear()

    def _bytes(self, thing: V) -> int:
        return sum(t.numel() * t.element_size() for t in self._tensors(thing))


def content(facts: object, tensors: Iterable[Tensor]) -> str:
    """Return a digest of the repr of `facts`, and of tensors' types, shapes and values, in hex."""
    digest = hashlib.blake2b(repr(facts).encode(), digest_size=16)
    for tensor in tensors:
        digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).numpy().tobytes())
    return digest.hexdigest()
