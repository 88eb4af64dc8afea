"""Middleware that keeps what leaves a client, or an aggregation, from telling too much."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:
    # So that `seepage.defenses.DPSGD` works without torch being imported before it is used.
    if name.startswith("_"):
        raise AttributeError(name)
    return getattr(import_module(f"{__name__}.api"), name)
