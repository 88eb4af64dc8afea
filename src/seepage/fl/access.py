"""What an observer can do where certain defenses are in force."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..core.threat import OBSERVERS, Capability, Observer

if TYPE_CHECKING:
    from ..core.defense import Defense


def capabilities(observer: Observer, defenses: Iterable[Defense] = ()) -> frozenset[Capability]:
    """Return the capabilities on the observer's card, less all that `defenses` hide.

    >>> Capability.SEES_CLIENT_UPDATES in capabilities(Observer.HONEST_SERVER)
    True
    """
    hidden = frozenset[Capability]().union(*(d.hides for d in defenses))
    return OBSERVERS[observer].capabilities - hidden
