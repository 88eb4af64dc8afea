"""A malicious server in an audit: what it gets, what stops it, what its clients could see."""

from __future__ import annotations

from typing import Any

import torch

import seepage
from seepage.core.plan_reader import plan_from_json


def audited(tmp_path: Any, attack: str, *defenses: str) -> Any:
    plan = plan_from_json(
        {
            "seed": 1,
            "budget": "none",
            "units": 16,
            "observers": ["malicious-server"],
            "tasks": [
                {
                    "name": "t",
                    "data": {"source": "digits", "clients": 4},
                    "model": {"name": "mlp", "width": 256},
                    "training": {"rounds": 12, "batch_size": 3},
                    "attacks": [attack],
                }
            ],
            "attacks": [{"name": attack}],
            "defenses": [{"name": name} for name in defenses],
            "gate": {"tolerance": 0.1},
        }
    )
    return seepage.audit_plan(plan, source="test", out=tmp_path / "run")


def test_one_client_comes_out_of_a_secure_sum_unless_clients_commit(tmp_path: Any) -> None:
    open_ = audited(tmp_path / "a", "model-inconsistency", "secure-aggregation")
    finding = open_["model-inconsistency"]
    assert finding.value == 0.25  # all of one client's records out of four clients'
    assert finding.details["client_sees"]["sent"]["silent_neurons"] == 1.0
    assert finding.details["client_sees"]["honest"]["silent_neurons"] < 1.0
    bound = audited(tmp_path / "b", "model-inconsistency", "secure-aggregation", "model-commitment")
    finding = bound["model-inconsistency"]
    assert finding.value == 0.0
    assert finding.control.leaked
    assert finding.verdict != "leak"
    assert "do not add up" in finding.details["note"]


def test_one_client_among_the_servers_own_is_alone_in_the_sum_whatever_clients_commit_to(
    tmp_path: Any,
) -> None:
    result = audited(tmp_path, "sybils", "secure-aggregation", "model-commitment")
    finding = result["sybils"]
    assert finding.value == 1.0  # every record of the one client that is in the sum
    assert finding.null < 0.2
    assert finding.verdict == "leak"
    assert not finding.details.get("client_sees")  # what clients get is the honest model


def test_clients_that_know_each_other_get_no_sum_with_the_servers_own(tmp_path: Any) -> None:
    result = audited(tmp_path, "sybils", "masking")
    finding = result["sybils"]
    assert finding.value == 0.0
    assert "not registered" in finding.details["note"]


def test_a_linear_model_has_no_neurons_to_be_silent(tmp_path: Any) -> None:
    data = torch.rand(160, 8), torch.arange(160) % 2
    result = seepage.audit(
        torch.nn.Linear(8, 2),
        torch.nn.CrossEntropyLoss(),
        data,
        attacks=["imprint"],
        observers=["malicious-server"],
        rounds=2,
        out=tmp_path / "run",
    )
    sees = result["imprint"].details["client_sees"]
    assert "silent_neurons" not in sees["sent"].keys() | sees["honest"].keys()
    assert "parallel rows 1 (honest" in result.save(tmp_path / "run.html").read_text()


def test_an_imprint_reads_a_secure_sum_and_shows(tmp_path: Any) -> None:
    result = audited(tmp_path, "imprint", "secure-aggregation")
    finding = result["imprint"]
    assert finding.verdict == "leak"
    assert finding.value > 0.9
    assert finding.details["client_sees"]["sent"]["parallel_rows"] > 0.5
    assert finding.details["recovery"]["20 dB"]["gain"] > 0.8
