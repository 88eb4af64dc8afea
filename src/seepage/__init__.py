"""Attack your federated model before somebody else does.

    import seepage
    result = seepage.audit(model, loss, (inputs, targets))
    result.verdict

Nothing heavy is imported until it is used.
"""

from typing import TYPE_CHECKING

from .core.lazy import handed_out

if TYPE_CHECKING:
    from . import accounting, attacks, defenses, metrics
    from .accounting.api import epsilon
    from .attacks.api import attack
    from .auditing.api import audit, audit_plan
    from .core.plan import Gate
    from .core.results import Finding, Result
    from .crypto.api import secure_sum
    from .crypto.vote import secure_vote

_HOMES = {
    "Finding": "core.results",
    "Gate": "core.plan",
    "Result": "core.results",
    "accounting": "accounting",
    "attack": "attacks.api",
    "attacks": "attacks",
    "audit": "auditing.api",
    "audit_plan": "auditing.api",
    "defenses": "defenses",
    "epsilon": "accounting.api",
    "metrics": "metrics",
    "secure_sum": "crypto.api",
    "secure_vote": "crypto.vote",
}

__all__ = [
    "Finding",
    "Gate",
    "Result",
    "accounting",
    "attack",
    "attacks",
    "audit",
    "audit_plan",
    "defenses",
    "epsilon",
    "metrics",
    "secure_sum",
    "secure_vote",
]


__getattr__ = handed_out(__name__, _HOMES)


def __dir__() -> list[str]:
    return __all__
