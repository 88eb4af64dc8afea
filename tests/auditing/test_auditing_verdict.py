import datetime

import numpy as np

from seepage.auditing.cells import Cell, Measured
from seepage.auditing.evidence import (
    RateEvidence,
    ScoreEvidence,
    from_json,
    membership_evidence,
    to_json,
)
from seepage.auditing.verdict import judge, overall
from seepage.core.plan import Acceptance, Gate
from seepage.core.registry import card
from seepage.core.results import NotRun
from seepage.core.threat import Observer

TODAY = datetime.date(2030, 1, 1)


def cell(name: str = "task") -> Cell:
    return Cell(
        task=name,
        observer=Observer.HONEST_SERVER,
        attack=card("attacks", "fully-connected"),
        settings={},
        moment="start",
        view="update",
    )


def rate(hits: float, units: int = 120, base: float = 0.0) -> RateEvidence:
    value = np.zeros(units)
    value[: round(hits * units)] = 1
    null = np.zeros(units)
    null[: round(base * units)] = 1
    return RateEvidence(
        metric="identification_rate",
        value=tuple(value),
        null=tuple(null),
        prior=tuple(np.zeros(units)),
        n=units,
    )


def measured(
    defended: RateEvidence,
    twin: RateEvidence,
    planted: RateEvidence | None = None,
    name: str = "task",
    **more: float,
) -> Measured:
    return Measured(
        cell=cell(name),
        defended=(defended,),
        twin=(twin,),
        planted=(planted,) if planted else (),
        bounds=more,
    )


def verdict(*args: RateEvidence) -> str:
    return judge([measured(*args)], Gate(), TODAY)[0].verdict


def test_a_pass_is_earned_by_a_control_that_leaks() -> None:
    assert verdict(rate(0.0), rate(0.9)) == "clear"
    assert verdict(rate(0.0), rate(0.0), rate(0.8)) == "clear"
    assert verdict(rate(0.0), rate(0.0), rate(0.0)) == "inconclusive"
    assert verdict(rate(0.0), rate(0.04)) == "inconclusive"


def test_few_draws_never_clear_and_many_do() -> None:
    assert verdict(rate(0.0, units=71), rate(0.9)) == "inconclusive"
    assert verdict(rate(0.0, units=72), rate(0.9)) == "clear"


def test_gain_is_over_the_null_and_not_over_nothing() -> None:
    assert verdict(rate(0.5), rate(0.9)) == "leak"
    assert verdict(rate(0.5, base=0.5), rate(0.9)) != "leak"


def test_many_findings_pay_for_their_number() -> None:
    alone = judge([measured(rate(0.12), rate(0.9))], Gate(), TODAY)
    assert alone[0].verdict == "leak"
    crowd = [measured(rate(0.12), rate(0.9), name="a")]
    crowd += [measured(rate(0.0), rate(0.9), name=f"t{i}") for i in range(30)]
    assert judge(crowd, Gate(), TODAY)[0].verdict == "inconclusive"


def test_forty_null_findings_give_a_false_leak_in_at_most_five_percent_of_runs() -> None:
    rng = np.random.default_rng(0)
    false = 0
    for _ in range(60):
        findings: list[Measured] = []
        for i in range(20):
            value, null = (rng.random((2, 60)) < 0.03).astype(float)
            e = RateEvidence(
                metric="identification_rate",
                value=tuple(value),
                null=tuple(null),
                prior=tuple(np.zeros(60)),
                n=60,
            )
            findings.append(measured(e, e, name=f"r{i}"))
            scores, nulls = rng.normal(size=(2, 300))
            auc = membership_evidence(scores, nulls, rng.random(300) < 0.5)
            findings.append(Measured(cell=cell(f"m{i}"), defended=auc, twin=auc))
        verdicts = [f.verdict for f in judge(findings, Gate(tolerance=0.01), TODAY)]
        false += "leak" in verdicts
    assert false <= 3


def test_a_measurement_above_its_bound_is_a_broken_implementation() -> None:
    found = judge([measured(rate(0.04), rate(0.9), identification_rate=0.001)], Gate(), TODAY)[0]
    assert found.verdict == "leak"
    assert "broken" in found.reason
    assert found.bound == 0.001


def test_acceptance_holds_until_it_expires() -> None:
    name = "task/honest-server/fully-connected/start/identification_rate"
    for expires, verdict_ in ((TODAY, "pass"), (TODAY - datetime.timedelta(1), "leak")):
        gate = Gate(accept=(Acceptance(id=name, reason="public data", expires=expires),))
        found = judge([measured(rate(0.9), rate(0.9))], gate, TODAY)
        assert found[0].id == name
        assert found[0].verdict == "leak"
        assert overall(found, [])[0] == verdict_


def test_what_did_not_run_is_no_pass() -> None:
    clear = judge([measured(rate(0.0), rate(0.9))], Gate(), TODAY)
    assert overall(clear, [])[0] == "pass"
    missing = NotRun(task="t", attack="dlg", observer="honest-server", moment="start", reason="x")
    assert overall(clear, [missing])[0] == "inconclusive"
    assert overall([], [])[0] == "inconclusive"


def test_rates_are_withheld_where_non_members_are_few() -> None:
    rng = np.random.default_rng(1)
    few = membership_evidence(*rng.normal(size=(2, 900)), np.arange(900) < 400)
    assert [e.metric for e in few] == ["auc"]
    assert "withheld" in few[0].details["tpr_at_1pct_fpr"]
    many = membership_evidence(*rng.normal(size=(2, 2400)), np.arange(2400) < 1200)
    assert [e.metric for e in many] == ["tpr_at_1pct_fpr", "auc"]
    assert many[0].details["realized_1pct_fpr"] <= 0.01


def test_evidence_survives_storage() -> None:
    score = ScoreEvidence(
        metric="auc", members=(0.1, 2.0), others=(0.3,), null_members=(1.0, 0.0), null_others=(0.2,)
    )
    for e in (rate(0.3), score):
        assert from_json(to_json(e)) == e


def test_a_broken_guarantee_fails_the_audit_whatever_the_gate_says() -> None:
    name = "task/honest-server/fully-connected/start/identification_rate"
    accepted = Acceptance(id=name, reason="public data", expires=TODAY)
    for gate in (
        Gate(metrics=("auc",)),
        Gate(observers=("peer-client",)),
        Gate(accept=(accepted,)),
    ):
        found = judge([measured(rate(0.04), rate(0.9), identification_rate=0.001)], gate, TODAY)
        assert found[0].broken
        assert found[0].gated
        assert found[0].accepted is None
        outcome, reason = overall(found, [])
        assert outcome == "leak"
        assert "broken" in reason


def test_many_bounds_are_rarely_exceeded_by_chance() -> None:
    """Attacks that meet their bounds exactly look broken in at most five audits of a hundred."""
    rng = np.random.default_rng(0)
    broken = 0
    for _ in range(100):
        cells = [
            measured(
                rate(float(rng.binomial(120, 0.3)) / 120), rate(0.9), None, f"t{i}",
                identification_rate=0.3,
            )
            for i in range(10)
        ]  # fmt: skip
        broken += any(f.broken for f in judge(cells, Gate(tolerance=0.9), TODAY))
    assert broken <= 5
