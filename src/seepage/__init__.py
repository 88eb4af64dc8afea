"""Attack your federated model before somebody else does.

    import seepage
    result = seepage.audit(model, loss, (inputs, targets))
    result.verdict

Nothing heavy is imported until it is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import attacks, defenses
    from .accounting.api import epsilon
    from .attacks.api import attack
    from .auditing.api import audit, audit_plan
    from .core.plan import Gate
    from .core.results import Finding, Result

_HOMES = {
    "Finding": "core.results",
    "Gate": "core.plan",
    "Result": "core.results",
    "attack": "attacks.api",
    "audit": "auditing.api",
    "audit_plan": "auditing.api",
    "epsilon": "accounting.api",
}
_ROOMS = ("attacks", "defenses")

__all__ = [
    "Finding",
    "Gate",
    "Result",
    "attack",
    "attacks",
    "audit",
    "audit_plan",
    "defenses",
    "epsilon",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    if name in _ROOMS:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
