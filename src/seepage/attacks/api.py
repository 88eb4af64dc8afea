"""Runs one attack on one view."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..core.errors import NotApplicableError, UsageError
from ..core.registry import card
from ..core.views import VIEW_KINDS, View

if TYPE_CHECKING:
    import torch

    from ..core.claims import Claim


def attack(name: str, view: View, rng: torch.Generator, **settings: Any) -> Claim:
    """Return the claim of a registered attack on a view.

    Raises `UsageError` for an unknown attack or setting, `NotApplicableError` where the
    attack does not read such a view.
    """
    known = card("attacks", name)
    kind = next((k for k, v in VIEW_KINDS.items() if isinstance(view, v)), None)
    if kind is None:
        raise UsageError(f"{type(view).__name__} is no view")
    if kind not in known.views:
        readable = " or ".join(known.views)
        raise NotApplicableError(f"{name} reads a view of kind {readable}, not {kind}")
    return known.build(settings)(view, rng)
