"""Users' own code, named as `module:function`."""

from __future__ import annotations

from typing import Any

from ..core.cards import Card
from ..core.errors import UsageError


def resolve(reference: str) -> Any:
    """Return what `module:attribute` names; `UsageError` where it can't be imported.

    Whether the module can be found is up to the caller's `sys.path`.
    """
    try:
        return Card(name=reference, summary="", implementation=reference).load()
    except Exception as error:  # whatever a user's module raises
        raise UsageError(
            f"{reference} can't be imported: {type(error).__name__}: {error}"
        ) from error
