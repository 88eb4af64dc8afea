"""A card that was renamed is still found by the name it had."""

from __future__ import annotations

from dataclasses import replace

import pytest
from click.testing import CliRunner

from seepage.cli.catalogue import show
from seepage.core.errors import UsageError
from seepage.core.plan_reader import plan_from_json, read_plan
from seepage.core.registry import KINDS, by_name, canonical_finding, card, cards
from seepage.core.results import Control, Finding, NotRun, Result

OLD = """\
[[tasks]]
name = "a"
attacks = ["final-loss", "fedmia"]
[[attacks]]
name = "final-loss"
[[attacks]]
name = "fedmia"
[[gate.accept]]
id = "a/b/model-holder/final-loss/final/auc"
reason = "known"
expires = "2030-12-31"
"""


def test_no_two_cards_share_a_name() -> None:
    for kind in KINDS:
        names = [n for c in cards(kind).values() for n in (c.name, *c.aliases)]
        assert len(names) == len(set(names)) == len(by_name(kind))


def test_a_plan_in_old_names_is_the_plan_in_new_ones() -> None:
    plan = read_plan(OLD, settings=["attacks.fed-mia.pooling=2.0", "attacks.fedmia.pooling=3.0"])
    assert [a.name for a in plan.attacks] == ["loss", "fed-mia"] == list(plan.tasks[0].attacks)
    assert plan.attacks[1].settings == {"pooling": 3.0}
    assert plan.gate.accept[0].id == "a/b/model-holder/loss/final/auc"
    new = OLD.replace("final-loss", "loss").replace("fedmia", "fed-mia")
    settings = ["attacks.fedmia.pooling=3.0"]
    assert read_plan(new, settings=settings) == plan == plan_from_json(plan.to_json())


def test_a_stored_result_is_read_in_new_names() -> None:
    finding = Finding(
        id="t/model-holder/final-loss/final/auc",
        task="t",
        attack="final-loss",
        observer="model-holder",
        moment="final",
        metric="auc",
        value=0.6,
        ci=(0.5, 0.7),
        n=9,
        units=4,
        null=0.5,
        prior=0.5,
        gain=0.1,
        gain_ci=(0.0, 0.2),
        control=Control(kind="twin", value=0.9, ci=(0.8, 1.0), leaked=True),
        bound=None,
        verdict="leak",
        reason="",
        gated=True,
        seconds=1.0,
    )
    missing = NotRun(
        task="t", attack="fedmia", observer="honest-server", moment="", reason="", gated=False
    )
    old = Result(
        verdict="leak",
        reason="",
        plan={},
        source="",
        address="",
        seed=0,
        versions={},
        utility={},
        cost={},
        privacy=(),
        findings=(finding,),
        not_run=(missing,),
        replay="",
    )
    read = Result.from_json(old.to_json())
    assert read["final-loss"] is read["loss"] is read.findings[0]
    assert read.findings[0] == replace(finding, attack="loss", id="t/model-holder/loss/final/auc")
    assert read.not_run[0].attack == "fed-mia"
    assert canonical_finding("x/y") == "x/y"


def test_commands_and_suggestions_know_both_names() -> None:
    shown = [CliRunner().invoke(show, [name]) for name in ("final-loss", "loss", "FedMIA")]
    assert all(s.exit_code == 0 for s in shown)
    assert shown[0].output == shown[1].output
    assert shown[2].output.startswith("fed-mia\n")
    for typo, meant in (("final-los", "final-loss"), ("fed-mai", "fed-mia")):
        with pytest.raises(UsageError, match=f"did you mean '{meant}'"):
            card("attacks", typo)
