"""Reads images from folders, one subfolder a class, or from a zip of such folders."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ..core.errors import DataError
from ..core.plan import DataPlan
from .arrays import assemble
from .dataset import Dataset

ENDINGS = (".png", ".jpg", ".jpeg")

_GRAY = frozenset({"1", "L", "LA"})
_COLOR = frozenset({"RGB", "RGBA", "P", "CMYK", "YCbCr"})


def read(path: Path, plan: DataPlan) -> Dataset:
    """Return PNG and JPEG images `[n, c, h, w]`, labeled by subfolder in sorted order.

    `plan.inputs` names a folder inside that holds the subfolders, as `train`. Images are
    gray where all of them are, else in color; transparency is dropped. They must be of one
    size. Raises `DataError` that names the folder or file at fault.
    """
    with _opened(path) as root:
        top = root
        for part in Path(plan.inputs).parts:
            top = top / part
        if not top.is_dir():
            raise DataError(f"{path.name}: has no folder {plan.inputs!r}; it holds {_held(root)}")
        images, labels = _read_classes(top, path.name)
    gray = all(image.mode in _GRAY for image in images)
    pixels = np.stack([np.asarray(image.convert("L" if gray else "RGB")) for image in images])
    channels_first = pixels[:, None] if gray else np.moveaxis(pixels, 3, 1)
    return assemble(channels_first, labels, name=path.name, scale=plan.scale)


@contextmanager
def _opened(path: Path) -> Generator[Traversable]:
    if path.is_dir():
        yield path
        return
    try:
        with zipfile.ZipFile(path) as archive:
            yield cast("Traversable", zipfile.Path(archive))
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(f"{path.name}: can't be read as a zip of images: {error}") from error


def _read_classes(top: Traversable, name: str) -> tuple[list[Image.Image], NDArray[np.int64]]:
    classes = _sorted(entry for entry in top.iterdir() if entry.is_dir())
    if len(classes) < 2:
        raise DataError(
            f"{name}: holds {len(classes)} subfolders where there is one a class, and two or more "
            f"classes; it holds {_held(top)} (data.inputs names a folder inside)"
        )
    images: list[Image.Image] = []
    labels: list[int] = []
    for label, folder in enumerate(classes):
        files = _sorted(f for f in folder.iterdir() if f.name.lower().endswith(ENDINGS))
        if not files:
            raise DataError(
                f"{name}: the class {folder.name!r} has no images ({', '.join(ENDINGS)}); "
                "fill its folder, or delete it"
            )
        for file in files:
            image = _image(file, f"{name}: {folder.name}/{file.name}")
            if images and image.size != images[0].size:
                raise DataError(
                    f"{name}: {folder.name}/{file.name} is {_size(image)} where the first image "
                    f"is {_size(images[0])}; make all of one size"
                )
            images.append(image)
            labels.append(label)
    return images, np.array(labels, dtype=np.int64)


def _image(file: Traversable, where: str) -> Image.Image:
    try:
        with warnings.catch_warnings(), file.open("rb") as opened:
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(opened, formats=("PNG", "JPEG")) as image:
                image.load()
                found = image.copy()
    except (
        OSError,
        ValueError,
        SyntaxError,  # what Pillow raises for some broken PNG chunks
        UnidentifiedImageError,
        Image.DecompressionBombWarning,
        Image.DecompressionBombError,
    ) as error:
        raise DataError(f"{where} can't be read as PNG or JPEG: {error}") from error
    if found.mode not in _GRAY | _COLOR:
        raise DataError(f"{where} has pixels of kind {found.mode}; save it with 8 bits a channel")
    return found


def _sorted(entries: Iterator[Traversable]) -> list[Traversable]:
    # What begins with a dot or two underscores was left there by a file manager.
    seen = [entry for entry in entries if not entry.name.startswith((".", "__"))]
    return sorted(seen, key=lambda entry: entry.name)


def _held(folder: Traversable) -> str:
    names = [entry.name for entry in _sorted(iter(folder.iterdir()))]
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "") or "nothing"


def _size(image: Image.Image) -> str:
    return f"{image.width} x {image.height}"
