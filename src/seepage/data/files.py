"""Finds a data file beside the plan or in the data folder."""

from __future__ import annotations

import os
from pathlib import Path

import pooch

from ..core.errors import DataError
from ..core.names import nearest
from ..core.registry import cards


def data_folder() -> Path:
    """Return the folder in SEEPAGE_DATA, or the user's cache folder for seepage."""
    return Path(os.environ.get("SEEPAGE_DATA") or pooch.os_cache("seepage")).expanduser()


def locate(source: str, *folders: Path) -> Path:
    """Return the first of the folders' paths that is there; `source` may be absolute.

    Raises `DataError` that says which paths were tried and what to do.
    """
    path = Path(source).expanduser()
    # An absolute path stays itself when it is joined to a folder.
    tried = list(dict.fromkeys(folder / path for folder in folders))
    for candidate in tried:
        if candidate.exists():
            return candidate
    raise DataError(
        f"no dataset {source!r}: tried {', '.join(map(str, tried))}; SEEPAGE_DATA sets the data "
        f"folder; bundled{nearest(source, cards('datasets'))}"
    )
