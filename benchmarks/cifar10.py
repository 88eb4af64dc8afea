"""CIFAR-10 from the zip of JPEG files in the data folder, as a plan's data source."""

from __future__ import annotations

import io
import os
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image


def folder() -> Path:
    """Return the folder in SEEPAGE_DATA, else `shared/data` beside the project."""
    return Path(os.environ.get("SEEPAGE_DATA", Path(__file__).parents[2] / "shared" / "data"))


def load() -> tuple[np.ndarray, np.ndarray]:
    """Return the training images `[10000, 3, 32, 32]` in 0..1 and their labels."""
    return part("train")


@cache
def part(which: str, data: Path | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return the shuffled images `[n, 3, 32, 32]` in 0..1 of a part, train or test, and labels."""
    path = (data or folder()) / "images" / "cifar10_jpeg" / "cifar10_10k_2k_jpeg.zip"
    with zipfile.ZipFile(path) as archive:
        own = [name for name in archive.namelist() if name.startswith(f"{which}/")]
        names = sorted(name for name in own if name.endswith(".jpg"))
        classes = sorted({name.split("/")[1] for name in names})
        images = [np.asarray(Image.open(io.BytesIO(archive.read(name)))) for name in names]
    labels = np.array([classes.index(name.split("/")[1]) for name in names])
    order = np.random.default_rng(0).permutation(len(labels))
    pixels = np.stack(images)[order].transpose(0, 3, 1, 2).astype(np.float32) / 255
    return pixels, labels[order]
