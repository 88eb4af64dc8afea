"""Ten thousand rounds of masked sums: whether a key, a nonce or a mask ever comes twice.

Three clients that stay the same, keys and vectors too; one drops out in every other round. Watched
are all keys of key streams and of seals, all public keys and every upload.

    python benchmarks/masking_keys.py --out benchmarks/results/masking_keys.md
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from pathlib import Path

import numpy as np
from result_tables import head, line

from seepage.crypto.entropy import Entropy
from seepage.crypto.masking import client as client_module
from seepage.crypto.masking import masks as masks_module
from seepage.crypto.masking.session import Masking
from seepage.crypto.protocol import SumJob


class Watch:
    """Counts the keys that the protocol uses, by what for."""

    def __init__(self) -> None:
        self.used: dict[str, Counter[bytes]] = {
            name: Counter() for name in ("key streams", "seals", "public keys", "uploads")
        }
        stream, seal = masks_module.KeyStream, client_module.seal

        def watched_stream(key: bytes) -> masks_module.KeyStream:
            self.used["key streams"][key] += 1
            return stream(key)

        def watched_seal(key: bytes, content: bytes) -> bytes:
            self.used["seals"][key] += 1
            return seal(key, content)

        masks_module.KeyStream = watched_stream
        client_module.seal = watched_seal

    def most(self, name: str) -> int:
        """Return how often the most used one was used."""
        return max(self.used[name].values())


def rounds(number: int, watch: Watch) -> float:
    """Run so many rounds; return the seconds."""
    started = time.perf_counter()
    vectors = (np.full(4, 0.25),) * 3
    for n in range(number):
        drop = {2: "upload"} if n % 2 else {}
        job = SumJob(vectors=vectors, entropy=Entropy(), bound=1.0, drop=drop)
        found = Masking().run(job)
        assert (found.sum == 0.25 * len(found.survivors)).all()
        server = found.views["server"]
        for payload in server.of("keys").values():
            watch.used["public keys"][bytes(payload)] += 1
        for payload in server.of("upload").values():
            watch.used["uploads"][bytes(payload)] += 1
    return time.perf_counter() - started


def main() -> None:
    """Run the rounds and write what came twice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--rounds", type=int, default=10_000)
    given = parser.parse_args()
    watch = Watch()
    seconds = rounds(given.rounds, watch)
    # Both ends of a pair derive its key, and the server what it removes: once each.
    allowed = {"key streams": 2, "seals": 1, "public keys": 1, "uploads": 1}
    rows = [
        "# Keys of masked sums",
        "",
        f"{given.rounds:,} rounds of three clients with equal vectors, one gone in every other "
        f"round; {seconds:.0f} s. A key stream is made twice by right: at both ends of a pair, or "
        "by its owner and by the server that removes it.",
        "",
        head("what", "different ones", "most uses of one", "allowed"),
        *(line([n, f"{len(watch.used[n]):,}", watch.most(n), allowed[n]]) for n in allowed),
        "",
    ]
    print("\n".join(rows))
    assert all(watch.most(name) <= most for name, most in allowed.items())
    if given.out:
        given.out.write_text("\n".join(rows))


if __name__ == "__main__":
    main()
