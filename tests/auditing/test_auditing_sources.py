"""Which client holds a record, asked of whole jobs."""

from __future__ import annotations

from pathlib import Path

import seepage
from seepage.auditing.cells import enumerate_cells
from seepage.auditing.spec import from_plan
from seepage.core.plan import Plan
from seepage.core.plan_reader import plan_from_json
from seepage.core.threat import Observer


def planned(*defenses: str) -> Plan:
    """Eight hospitals that each learn their few digits by heart."""
    return plan_from_json(
        {
            "seed": 2,
            "budget": "none",
            "observers": ["honest-server"],
            "tasks": [
                {
                    "name": "t",
                    "data": {"source": "digits", "clients": 8, "limit": 400},
                    "model": {"name": "mlp", "width": 128},
                    "training": {"rounds": 20, "batch_size": 0, "local_steps": 10, "lr": 0.5},
                }
            ],
            "attacks": [{"name": "source-inference"}],
            "defenses": [{"name": name} for name in defenses],
            "gate": {"metrics": ["source_accuracy"]},
        }
    )


def test_updates_tell_whose_a_record_is_and_secure_sums_hide_it(tmp_path: Path) -> None:
    finding = seepage.audit_plan(planned(), source="test", out=tmp_path / "run")["source-inference"]
    assert finding.metric == "source_accuracy"
    assert finding.verdict == "leak"
    assert finding.value > 2 / 8
    assert abs(finding.null - 1 / 8) < 0.1
    assert abs(finding.prior - 1 / 8) < 0.02
    summed = from_plan(planned("secure-aggregation"), source="test")
    cells, hidden = enumerate_cells(summed.jobs, summed.attackers, list(Observer))
    assert "source-inference" not in {cell.attack.name for cell in cells}
    ruled_out = next(n for n in hidden if n.attack == "source-inference")
    assert ruled_out.reason.startswith("secure-aggregation hides")
