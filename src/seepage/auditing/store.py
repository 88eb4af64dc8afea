"""The run folder: finished cells survive a kill, and the same command goes on from them.

A run is addressed by its plan, its data, seepage's own sources and the versions of what
it computes with. Every file is written beside its place and renamed into it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..core.errors import UsageError
from ..core.locks import locked

PACKAGES = ("torch", "numpy", "scipy", "scikit-learn", "opacus", "dp-accounting")


def versions() -> dict[str, str]:
    """Return the versions that a result depends on."""
    return {name: version(name) for name in ("seepage", *PACKAGES)}


def digest(*parts: object) -> str:
    """Return the sha256 hex digest of parts, as sorted JSON."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def sources_digest() -> str:
    """Return a digest of seepage's own sources."""
    root = Path(__file__).parents[1]
    files = sorted(p for p in root.rglob("*") if p.suffix in {".py", ".toml", ".json"})
    return digest(*(hashlib.sha256(p.read_bytes()).hexdigest() for p in files))


def slug(name: str) -> str:
    """Return a name that is safe as a file name.

    >>> slug("digits/honest-server/dlg")
    'digits-honest-server-dlg'
    """
    return re.sub(r"[^\w.]+", "-", name)


class Store:
    """One run's folder, locked while it is open.

    Raises `UsageError` where the folder holds another run, something else, or is in use.
    """

    def __init__(self, folder: Path, address: str) -> None:
        self.folder, self.address = folder, address
        self._lock: IO[str] | None = None

    def __enter__(self) -> Store:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{self.folder}: can't hold a run: {error.strerror}") from error
        marker = self.folder / "address"
        if marker.exists():
            if marker.read_text().strip() != self.address:
                raise UsageError(
                    f"{self.folder} holds another run (other plan, data, seed or version); "
                    "choose another --out"
                )
        elif any(p.name != ".lock" for p in self.folder.iterdir()):
            raise UsageError(f"{self.folder} is not empty and holds no run; choose another --out")
        busy = f"{self.folder}: another audit is writing to this run"
        self._lock = locked(self.folder / ".lock", busy)
        self._write(marker, self.address.encode())
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock:
            self._lock.close()

    def read(self, kind: str, name: str) -> dict[str, Any] | None:
        """Return what was stored under a name, or None; a torn file counts as absent."""
        try:
            return json.loads(self._path(kind, name).read_text())
        except (FileNotFoundError, ValueError):
            return None

    def write(self, kind: str, name: str, content: Mapping[str, Any]) -> None:
        """Store plain types under a name."""
        self._write(self._path(kind, name), json.dumps(content).encode())

    def write_arrays(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Store arrays under a finding's id, for reports."""
        path = self.folder / "arrays" / f"{slug(name)}.npz"
        path.parent.mkdir(exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.npz")
        np.savez_compressed(partial, allow_pickle=False, **arrays)
        partial.replace(path)

    def _path(self, kind: str, name: str) -> Path:
        return self.folder / kind / f"{slug(name)}.json"

    def _write(self, path: Path, content: bytes) -> None:
        path.parent.mkdir(exist_ok=True)
        partial = path.with_name(f"{path.name}.{os.getpid()}.part")
        partial.write_bytes(content)
        partial.replace(path)
