"""Two audits side by side: what each run's defenses are, promise, cost and leave of the model."""

from __future__ import annotations

from ..core.results import Result
from .plan_facts import component_list, cost_rows
from .utility import utility_rows
from .words import epsilon


def side_rows(before: Result, after: Result) -> list[tuple[str, str, str]]:
    """Return (what, before, after): defenses, epsilon, utility and cost, whatever either has."""
    one, other = _side(before), _side(after)
    return [(what, one.get(what, "-"), other.get(what, "-")) for what in {**one, **other}]


def _side(result: Result) -> dict[str, str]:
    rows = {"defenses": component_list(result.plan.get("defenses") or ()) or "none"}
    for record in result.privacy:
        job = f"{record.task}: " if record.task else ""
        place = f"{job}epsilon of a {record.unit}, {record.adjacency}, against {record.observer}"
        rows[place] = f"{epsilon(record.total_epsilon)} (delta {record.delta:g})"
        if record.bayesian_epsilon is not None:
            rows[f"{place}, Bayesian"] = epsilon(record.bayesian_epsilon)
    for what, undefended, defended in utility_rows(result.utility):
        rows[f"utility: {what}"] = defended or undefended
    return rows | dict(cost_rows(result.cost))
