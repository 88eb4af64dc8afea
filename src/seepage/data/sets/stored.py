"""Finds a known dataset's files in the data folder, or fetches them with a checksum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pooch

from ...core.errors import DataError
from ..files import data_folder


@dataclass(frozen=True, kw_only=True, slots=True)
class Remote:
    """A file at a stable public address, and the SHA-256 (hex) of its content."""

    url: str
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """Where a dataset lies and where it comes from.

    Fields
    ------
    name : the dataset's, and that of its folder in the data folder
    folder : another place in the data folder that it may lie at
    origin : where a person gets it, in words
    remote : by file name, what can be fetched
    """

    name: str
    folder: str
    origin: str
    remote: Mapping[str, Remote] = field(default_factory=dict[str, Remote])

    def file(self, *names: str) -> Path:
        """Return the first of the names that is there, else one that could be fetched.

        Fetched files are kept in the data folder. Raises `DataError` that says where to
        get the file and where to put it.
        """
        folders = [data_folder() / self.name, data_folder() / self.folder]
        for name in names:
            for folder in folders:
                if (folder / name).is_file():
                    return folder / name
        reason = ""
        for name in names:
            if name in self.remote:
                try:
                    return self._fetched(name, folders[0])
                # OSError is the network's or the disk's; ValueError is another checksum.
                except (OSError, ValueError) as error:
                    told = str(error) if isinstance(error, ValueError) else type(error).__name__
                    reason = f" (fetching {name} failed: {told.splitlines()[0]})"
        raise DataError(
            f"{self.name}: no file {' or '.join(names)} in {folders[0]} or {folders[1]}; get it "
            f"from {self.origin}, or set SEEPAGE_DATA to the data folder{reason}"
        )

    def _fetched(self, name: str, folder: Path) -> Path:
        remote = self.remote[name]
        logger = pooch.get_logger()
        level = logger.level
        logger.setLevel("WARNING")
        try:
            path = pooch.retrieve(
                remote.url, known_hash=f"sha256:{remote.sha256}", fname=name, path=folder
            )
        finally:
            logger.setLevel(level)
        return Path(path)
