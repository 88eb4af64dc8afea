"""Bits under FHEW in OpenFHE, and the files that it reads and writes them in.

Both processes run this file under OpenFHE's Python: it imports nothing of ours.
"""

from __future__ import annotations

import os
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

fhe: Any = import_module("openfhe")

PLAIN_MODULUS = 4
"""Of a bit. Gates are made for 4; 6 and 8, which they take too, give wrong bits silently."""


def context_for(insecure_toy: bool) -> Any:
    """Return the context: 128-bit secure, with room for the noise of gates of three inputs."""
    context = fhe.BinFHEContext()
    if insecure_toy:
        context.GenerateBinFHEContext(fhe.BINFHE_PARAMSET.TOY, fhe.BINFHE_METHOD.GINX)
    else:
        context.GenerateBinFHEContext(
            fhe.BINFHE_PARAMSET.STD128_3_LMKCDEY, fhe.BINFHE_METHOD.LMKCDEY
        )
    return context


class Files:
    """One file that OpenFHE, which keeps bits in files only, hands bytes over in."""

    def __init__(self) -> None:
        if hasattr(os, "memfd_create"):
            self._path = Path(f"/proc/self/fd/{os.memfd_create('bits')}")
        else:
            self._path = Path(tempfile.mkdtemp()) / "bits"

    def written(self, thing: Any) -> bytes:
        """Return a key or a ciphertext as bytes."""
        if not fhe.SerializeToFile(str(self._path), thing, fhe.BINARY):
            raise OSError("OpenFHE could not write a file")
        return self._path.read_bytes()

    def ciphertext(self, raw: Any) -> Any:
        """Return the ciphertext that was written."""
        return self._read(fhe.DeserializeLWECiphertext, raw)

    def secret_key(self, raw: Any) -> Any:
        """Return the secret key that was written."""
        return self._read(fhe.DeserializeLWEPrivateKey, raw)

    def _read(self, read: Any, raw: Any) -> Any:
        self._path.write_bytes(raw)
        found, whole = read(str(self._path), fhe.BINARY)
        if not whole:
            raise ValueError("what came in is no key or ciphertext of OpenFHE")
        return found
