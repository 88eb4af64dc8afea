"""What secure sums still tell an honest server in an audit: of few clients, and of many rounds."""

from __future__ import annotations

from typing import Any

import seepage
from seepage.core.plan_reader import plan_from_json
from seepage.core.results import Result


def audited(
    tmp_path: Any, *attacks: str, clients: int = 4, limit: int = 0, **training: Any
) -> Result:
    """Clients that hold up to `limit` digits each (0: their share of all), summed securely."""
    plan = plan_from_json(
        {
            "seed": 1,
            "budget": "none",
            "units": 16,
            "observers": ["honest-server"],
            "tasks": [
                {
                    "name": "t",
                    "data": {"source": "digits", "clients": clients, "train_limit": limit},
                    "model": {"name": "mlp", "width": 256},
                    "training": training,
                    "attacks": list(attacks),
                }
            ],
            "attacks": [{"name": name} for name in attacks],
            "defenses": [{"name": "secure-aggregation"}],
            "gate": {"tolerance": 0.1},
        }
    )
    return seepage.audit_plan(plan, source="test", out=tmp_path / "run")


def test_the_sum_of_few_clients_gives_all_of_their_records(tmp_path: Any) -> None:
    attacks = "spear", "fully-connected", "ica", "gradient-cosine"
    result = audited(tmp_path, *attacks, clients=3, rounds=12, batch_size=2)
    assert not result.not_run
    for name in ("spear", "fully-connected"):
        assert result[name].value == 1.0
        assert result[name].n == 16 * 3 * 2  # the records of every client of the sum
        assert result[name].null < 0.1
        assert result[name].verdict == "leak"
    assert result["ica"].value > 0.2
    assert result["ica"].null < 0.1
    assert result["gradient-cosine"].metric == "auc"


def test_who_took_part_in_which_round_takes_sums_apart(tmp_path: Any) -> None:
    job = {"limit": 4, "batch_size": 0, "rounds": 36, "lr": 0.01}
    finding = audited(tmp_path / "a", "disaggregation", cohort=2, **job)["disaggregation"]
    assert finding.verdict == "leak"
    assert finding.value > 0.6
    assert finding.null < 0.3
    # Where all take part in every round, no cohort tells.
    finding = audited(tmp_path / "b", "disaggregation", cohort=0, **job)["disaggregation"]
    assert finding.value == 0.0
    assert finding.control.leaked  # the attack works where single updates are seen
    assert finding.verdict != "leak"
