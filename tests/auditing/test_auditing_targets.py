"""A malicious server's question of single records, in a whole audit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import seepage
from seepage.auditing.cells import Attacker, enumerate_cells
from seepage.auditing.federations import Federations
from seepage.auditing.spec import from_plan
from seepage.auditing.targets import target_answers
from seepage.core.plan_reader import plan_from_json
from seepage.core.registry import card
from seepage.core.threat import Observer
from seepage.defenses import ModelCommitment, SecureAggregation
from seepage.metrics.membership import AUC

PLAN = plan_from_json(
    {
        "seed": 1,
        "budget": "none",
        "observers": ["malicious-server"],
        "tasks": [
            {
                "name": "t",
                "data": {"source": "digits", "clients": 6, "train_limit": 12},
                "model": {"name": "mlp", "width": 64},
                "training": {"rounds": 30, "batch_size": 0, "local_steps": 20, "lr": 0.2},
            }
        ],
        "attacks": [{"name": "gradient-ascent"}],
        "gate": {"tolerance": 0.1, "metrics": ["auc"]},
    }
)


def test_what_clients_learn_by_heart_they_teach_again(tmp_path: Any) -> None:
    finding = seepage.audit_plan(PLAN, source="test", out=tmp_path / "run")["gradient-ascent"]
    assert finding.value > 0.9
    assert finding.n == 120
    assert finding.null < 0.6
    assert finding.verdict == "leak"
    assert finding.moment == "training"
    sees = finding.details["client_sees"]
    assert sees["sent"]["parameter_distance"] > 0 == sees["honest"]["parameter_distance"]


def test_one_bad_model_for_all_passes_commitments_and_shows_in_their_sum() -> None:
    known = card("attacks", "gradient-ascent")
    defenses = SecureAggregation(), ModelCommitment()
    here = replace(from_plan(PLAN, source="test").jobs[0], defenses=defenses)
    cells, _ = enumerate_cells(
        [here], [Attacker(card=known, settings={})], [Observer.MALICIOUS_SERVER]
    )
    cell = next(c for c in cells if c.attack is known)
    assert cell.view == "aggregate"
    found = target_answers(
        cell,
        known.build({}),
        Federations(here, seed=1, width=3),
        kind=cell.view,
        variant="defended",
        seed=1,
    )
    assert found.member.sum() == 30 == (~found.member).sum()
    value, null = (
        AUC.of(scores[found.member], scores[~found.member]) for scores in (found.scores, found.null)
    )
    assert value.interval()[0] > 0.5 > null.interval()[0]
    assert value.value > 0.6
