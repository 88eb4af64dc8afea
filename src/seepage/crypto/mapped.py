"""A file's content as a message: too large to be copied, and there until nobody looks at it."""

from __future__ import annotations

import mmap
from pathlib import Path


def mapped(path: Path) -> memoryview:
    """Return the content of a file that is not empty; the file may be removed meanwhile."""
    with path.open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
