"""Federations that were trained before: finished ones survive a kill of the run."""

from __future__ import annotations

import os
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from .lockstep import Trained


@dataclass(frozen=True, slots=True)
class Shelf:
    """A place for the federations of one set, in a folder that many sets share.

    Fields
    ------
    folder : made at the first write
    key : of the set: whatever its federations depend on goes into it
    """

    folder: Path
    key: str

    def read(self, seeds: Sequence[int]) -> list[Trained] | None:
        """Return the federations of these seeds, or None; a torn file counts as absent."""
        try:
            found: Any = torch.load(self._path(seeds), weights_only=True)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError):
            return None
        return [Trained(last=last, states=states) for last, states in found]

    def write(self, seeds: Sequence[int], trained: Sequence[Trained]) -> None:
        """Keep the federations of these seeds."""
        path = self._path(seeds)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{os.getpid()}.part")
        torch.save(
            [(dict(t.last), {n: dict(s) for n, s in t.states.items()}) for t in trained], partial
        )
        partial.replace(path)

    def _path(self, seeds: Sequence[int]) -> Path:
        return self.folder / f"{self.key[:16]}-{len(seeds)}-{seeds[0]:x}.pt"
