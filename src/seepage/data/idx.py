"""Reads IDX files, the format of MNIST and its kin, gzipped or not.

A file is two zero bytes, a type code, the number of axes, each axis' length as a
big-endian 32-bit integer, and the values (LeCun, Cortes and Burges, The MNIST database).
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from ..core.errors import DataError
from ..core.plan import DataPlan
from .arrays import assemble
from .dataset import Dataset

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read(path: Path, labels: Path, plan: DataPlan) -> Dataset:
    """Return the images in `path` as `[n, 1, h, w]` with the labels in the other file.

    Raises `DataError` where either is no IDX file, or is shorter or longer than it says.
    """
    images = read_array(path)
    if images.ndim == 1:
        raise DataError(f"{path.name}: holds labels, no images; set data.source to the images file")
    if images.ndim == 3:
        images = images[:, None]
    return assemble(images, read_array(labels), name=path.name, scale=plan.scale)


def read_array(path: Path) -> NDArray[Any]:
    """Return the array in one IDX file, in native byte order."""
    try:
        with _open(path) as file:
            return _parse(file, path.name)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path.name}: can't be read as IDX: {error}") from error


def is_idx(path: Path) -> bool:
    """Return whether a file is called, or begins, like an IDX file."""
    if "idx" in path.name or "ubyte" in path.name:
        return True
    try:
        with _open(path) as file:
            magic = file.read(4)
    except (OSError, EOFError, zlib.error):
        return False
    return len(magic) == 4 and magic[:2] == b"\0\0" and magic[2] in _TYPES and magic[3] > 0


def labels_beside(path: Path) -> Path | None:
    """Return the labels file that goes with an images file by MNIST's names, if it is there."""
    name = path.name.replace("images", "labels").replace("idx3", "idx1").replace("idx4", "idx1")
    beside = path.with_name(name)
    return beside if name != path.name and beside.is_file() else None


def _open(path: Path) -> BinaryIO:
    opener = gzip.open if path.suffix == ".gz" else open
    return cast("BinaryIO", opener(path, "rb"))


def _parse(file: BinaryIO, name: str) -> NDArray[Any]:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _TYPES or not magic[3]:
        raise DataError(f"{name}: is no IDX file (it begins with {magic.hex(' ') or 'nothing'})")
    header = file.read(4 * magic[3])
    if len(header) < 4 * magic[3]:
        raise DataError(f"{name}: is cut off in its header; fetch it again")
    shape = struct.unpack(f">{magic[3]}I", header)
    kind = np.dtype(_TYPES[magic[2]])
    expected = math.prod(shape) * kind.itemsize
    # One byte more than it says is enough to know that it is too long.
    content = file.read(expected + 1)
    if len(content) != expected:
        found = f"{len(content)} bytes" if len(content) < expected else "more"
        raise DataError(
            f"{name}: its header says {' x '.join(map(str, shape))} values ({expected} bytes) "
            f"but {found} follow; fetch it again"
        )
    return np.frombuffer(content, dtype=kind).reshape(shape).astype(kind.newbyteorder("="))
