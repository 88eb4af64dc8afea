"""The attack on a single client's or record's update, once a server has singled it out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...core.errors import NotApplicableError, UsageError
from ...core.registry import card
from .exact.first_layer import first_layer

if TYPE_CHECKING:
    from ...core.views import UpdateView


def inner_attack(name: str, view: UpdateView, *, restarts: int = 1) -> tuple[str, Any]:
    """Return the registered attack `name` at its defaults, and its name.

    It makes at least so many `restarts`, where it makes any. `auto` is `fully-connected`
    where the view's first layer is, else `inverting-gradients`. Raises `UsageError` for a
    name that does not reconstruct from a single update.
    """
    if name == "auto":
        try:
            first_layer(view)
            name = "fully-connected"
        except NotApplicableError:
            name = "inverting-gradients"
    found = card("attacks", name)
    if "update" not in found.views or found.claims != "reconstruction":
        raise UsageError(f"{name} does not reconstruct records from a single update")
    usual = {p.name: p.default for p in found.parameters}
    more = {"restarts": restarts} if usual.get("restarts", restarts) < restarts else {}
    return name, found.build(more)
