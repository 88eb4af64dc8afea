"""How near a claim is to the truth: pure functions, and estimates with their intervals.

    from seepage.metrics import tpr_at_fpr
    found = tpr_at_fpr(scores, is_member, fpr=0.01)  # .value, .low, .high, .n

Nothing heavy is imported until it is used.
"""

from typing import TYPE_CHECKING

from ..core.lazy import handed_out

if TYPE_CHECKING:
    from .one_rate import RateAtFPR, tpr_at_fpr

_HOMES = {"RateAtFPR": "one_rate", "tpr_at_fpr": "one_rate"}

__all__ = ["RateAtFPR", "tpr_at_fpr"]


__getattr__ = handed_out(__name__, _HOMES)


def __dir__() -> list[str]:
    return __all__
