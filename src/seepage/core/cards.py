"""Facts about attacks, defenses, datasets, models and plans that need no torch to read.

A card names its `implementation` as `module:attribute`; loading it imports the code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from .errors import PlanError
from .names import nearest
from .threat import Capability, Observer

COST_TIERS = ("cheap", "moderate", "dear")


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """A hyper-parameter: a field of the implementation's dataclass, or an argument."""

    name: str
    default: Any
    summary: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """What any registered thing says of itself; `name` is how plans and commands call it.

    `aliases` are names that it had before, by which it is still found.
    """

    name: str
    summary: str
    implementation: str
    reference: str = ""
    year: int | None = None
    parameters: tuple[Parameter, ...] = ()
    aliases: tuple[str, ...] = ()

    def load(self) -> Any:
        """Import and return the implementation."""
        module, _, attribute = self.implementation.partition(":")
        return getattr(import_module(module), attribute)

    def build(self, settings: Mapping[str, Any]) -> Any:
        """Construct the implementation from `settings`; unknown names raise `PlanError`."""
        self.check(settings)
        return self.load()(**settings)

    def check(self, settings: Mapping[str, Any]) -> None:
        """Raise `PlanError` where a setting is no parameter of this card or of another type."""
        known = {p.name: p for p in self.parameters}
        for name, value in settings.items():
            if name not in known:
                raise PlanError(f"{self.name} has no parameter {name!r}{nearest(name, known)}")
            if not _fits(value, known[name].default):
                default = known[name].default
                raise PlanError(
                    f"{self.name}: {name} = {value!r} is a {type(value).__name__}; "
                    f"give a {type(default).__name__}, as in {default!r}"
                )


@dataclass(frozen=True, kw_only=True, slots=True)
class AttackCard(Card):
    """Facts of an attack.

    Fields
    ------
    observers : who can run it
    needs : capabilities that it can't do without
    views : kinds of view that it accepts (keys of `VIEW_KINDS`)
    claims : the claim type it returns, e.g. `reconstruction`
    cost : `cheap` (milliseconds a view), `moderate` or `dear` (a second or more)
    adaptive_against : names of the defenses that it is built to get around
    """

    observers: tuple[Observer, ...]
    needs: tuple[Capability, ...]
    views: tuple[str, ...]
    claims: str
    cost: str = "cheap"
    adaptive_against: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class DefenseCard(Card):
    """Facts of a defense; with `settings` filled in, the public card of one in force.

    `guarantee` is `formal`, `heuristic` or `none`; `adaptive_attacks` names the attacks
    that an audit must run against it. `protects`, `against` and `leaves_open` say in plain
    words what it protects, from whom, and what it does not. `sums` says that single updates
    are hidden in their sum; `protocol` names the card of the protocol that forms it.
    """

    mechanism: str
    guarantee: str
    adaptive_attacks: tuple[str, ...]
    protects: str = ""
    against: str = ""
    leaves_open: str = ""
    sums: bool = False
    protocol: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])


def _fits(value: Any, default: Any) -> bool:
    if default is None or value is None:
        return True
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, float):
        return isinstance(value, int | float)
    if isinstance(default, tuple | list):
        return isinstance(value, tuple | list)
    return isinstance(value, type(default))
