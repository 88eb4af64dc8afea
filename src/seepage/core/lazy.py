"""Names that a package hands out without importing what they rest on before it is used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def handed_out(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the `__getattr__` of a package whose names live in modules below it.

    `homes` maps each name to its module, relative to the package. A name that is its own home
    is that module itself. Any other name raises `AttributeError`.
    """

    def attribute(name: str) -> Any:
        """Return what the package calls `name`, imported at its first use."""
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = import_module(f"{package}.{homes[name]}")
        return module if homes[name] == name else getattr(module, name)

    return attribute
