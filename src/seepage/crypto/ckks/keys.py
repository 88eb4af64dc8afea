"""The key of encrypted sums: some clients hold it, and it is replaced after so many sums."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from ..entropy import Entropy
from ..handover import hand_over
from ..protocol import client_name
from ..wire import Wire
from .seal_scheme import SEED_BYTES, Scheme


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class HeldKey:
    """A key pair, and the clients that hold its secret half.

    `seed` stands for the secret key: so it is short, and is nothing that SEAL writes to a file.
    """

    seed: bytes = field(repr=False)
    public: bytes = field(repr=False)
    holders: tuple[int, ...]


class KeyRing:
    """The key in use, and how many sums it was used for."""

    def __init__(self) -> None:
        self._key: HeldKey | None = None
        self._sums = 0

    def rotate(self) -> None:
        """Forget the key: the next sum has a new one."""
        self._key, self._sums = None, 0

    def use(self, most: int, there: Collection[int]) -> HeldKey | None:
        """Return the key for one sum more; None if `most` had it, or no holder is `there`."""
        if self._sums >= most or not (self._key and set(self._key.holders) & set(there)):
            self.rotate()
        self._sums += 1
        return self._key

    def put(self, key: HeldKey) -> None:
        """Take a new key into use."""
        self._key = key


def make_key(scheme: Scheme, holders: Sequence[int], entropy: Entropy, wire: Wire) -> HeldKey:
    """Have the first holder draw a key and hand it to the others, sealed, through the server."""
    maker, *others = holders
    with wire.at(client_name(maker)):
        seed = entropy.bytes(SEED_BYTES)
        public = scheme.public_key(scheme.secret_key(seed))
    hand_over(seed, maker, others, entropy, wire)
    return HeldKey(seed=seed, public=public, holders=tuple(holders))
