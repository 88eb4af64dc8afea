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
    from .lower_bounds.api import epsilon_lower_bound
    from .lower_bounds.bound import LowerBound
    from .lower_bounds.gdp_estimate import GDPEstimate, gdp_estimate
    from .record import compose_records
    from .vantage import calibrated

_HOMES = {
    "BudgetExceeded": "ledger",
    "Deployment": "deployment",
    "GDPEstimate": "lower_bounds.gdp_estimate",
    "Ledger": "ledger",
    "LowerBound": "lower_bounds.bound",
    "calibrated": "vantage",
    "compose_records": "record",
    "epsilon": "api",
    "epsilon_lower_bound": "lower_bounds.api",
    "epsilon_record": "api",
    "gdp_estimate": "lower_bounds.gdp_estimate",
    "read_ledger": "ledger_statement",
    "rero_bound": "bounds",
}

__all__ = [
    "BudgetExceeded",
    "Deployment",
    "GDPEstimate",
    "Ledger",
    "LowerBound",
    "calibrated",
    "compose_records",
    "epsilon",
    "epsilon_lower_bound",
    "epsilon_record",
    "gdp_estimate",
    "read_ledger",
    "rero_bound",
]


__getattr__ = handed_out(__name__, _HOMES)


def __dir__() -> list[str]:
    return __all__
