"""How many findings an audit may have to judge together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .cells import CLIENTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..core.plan import Gate
    from .cells import Cell, Job


def hypotheses(cells: Sequence[Cell], jobs: Sequence[Job], gate: Gate) -> int:
    """Return how many findings the gate may count: what Holm's correction is paid for."""
    metrics = {
        "reconstruction": {"identification_rate"},
        "attribute": {"label_rate", "property_rate"},
        "column": {"attribute_accuracy"},
        "membership": {"auc", "tpr_at_1pct_fpr"},
        "linkage": {"source_accuracy"},
        CLIENTS: {"auc"},
    }
    others = {j.task.name: sum(len(c.holdout) for c in j.task.clients) for j in jobs}
    count = 0
    for cell in cells:
        if gate.observers and cell.observer.value not in gate.observers:
            continue
        possible = metrics.get(cell.attack.claims, set[str]()) & set(gate.metrics)
        if others[cell.task] < 1000:
            possible = possible - {"tpr_at_1pct_fpr"}
        count += len(possible)
    return max(count, 1)
