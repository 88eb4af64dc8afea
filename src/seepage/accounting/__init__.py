"""What a mechanism gives away: epsilon records, and bounds on any attack's success.

    from seepage.accounting import epsilon_record
    epsilon_record(release_epsilon=1.5, releases=500).total_epsilon

Nothing heavy is imported until it is used.
"""

from typing import TYPE_CHECKING

from ..core.lazy import handed_out

if TYPE_CHECKING:
    from .api import epsilon, epsilon_record
    from .bounds import rero_bound
    from .deployment import Deployment
    from .ledger import BudgetExceeded, Ledger
    from .ledger_statement import read_ledger
    from .record import compose_records
    from .vantage import calibrated

_HOMES = {
    "BudgetExceeded": "ledger",
    "Deployment": "deployment",
    "Ledger": "ledger",
    "calibrated": "vantage",
    "compose_records": "record",
    "epsilon": "api",
    "epsilon_record": "api",
    "read_ledger": "ledger_statement",
    "rero_bound": "bounds",
}

__all__ = [
    "BudgetExceeded",
    "Deployment",
    "Ledger",
    "calibrated",
    "compose_records",
    "epsilon",
    "epsilon_record",
    "read_ledger",
    "rero_bound",
]


__getattr__ = handed_out(__name__, _HOMES)


def __dir__() -> list[str]:
    return __all__
