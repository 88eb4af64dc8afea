"""Bounds beside measurements, in whole audits: sound defenses stay below, planted bugs do not."""

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import ndtr, ndtri
from sklearn.datasets import load_digits
from torch import nn

import seepage
from seepage.auditing.job_facts import over_runs
from seepage.core.plan import Gate
from seepage.core.results import Result
from seepage.defenses.dp.local_dp import LocalDP


@dataclass(frozen=True, kw_only=True)
class Unnoised(LocalDP):
    """Claims what `LocalDP` claims, and releases the update as it is."""

    def protect_update(self, update, rng):
        """Forget the noise."""
        return update


def audited(out: Path, defense: LocalDP, metric: str = "identification_rate") -> Result:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 96), nn.ReLU(), nn.Linear(96, 10))
    inputs, targets = load_digits(return_X_y=True)
    return seepage.audit(
        model,
        nn.CrossEntropyLoss(),
        (inputs / 16, targets),
        batch_size=4,
        rounds=54,
        attacks=["fully-connected", "loss"],
        observers=["honest-server", "model-holder"],
        defenses=[defense],
        gate=Gate(metrics=(metric,)),
        out=out,
    )


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Result:
    audited(out := tmp_path_factory.mktemp("sound"), LocalDP(noise_multiplier=40.0))
    return Result.load(out)


def test_curves_are_the_bounds_of_the_guarantee_with_the_measurement_on_them(sound: Result) -> None:
    mu = sound.privacy[0].mu
    kinds = {"auc": "roc", "identification_rate": "rero"}
    assert {f.metric: f.curve.kind for f in sound.findings if f.curve} == kinds
    for finding in sound.findings:
        axis, most = np.array(finding.curve.bound).T
        if finding.attack != "averaged":  # whose view spans a part of the rounds
            assert most == pytest.approx(ndtr(ndtri(axis) + mu), abs=1e-9)
        assert len(axis) <= 40
        assert not finding.broken
        for x, value, low, high in finding.curve.measured:
            assert low <= value <= high
            assert low <= np.interp(x, axis, most) + 1e-9
    rate = sound["fully-connected"]
    ((prior, *figures),) = rate.curve.measured
    assert tuple(figures) == (rate.value, *rate.ci)
    assert dict(rate.curve.bound)[prior] == pytest.approx(rate.bound)
    fprs = [x for x, *_ in sound["loss"].curve.measured]
    assert len(fprs) > 10
    assert fprs[-1] == 1


def test_a_record_says_what_tests_of_one_unit_can_reach(sound: Result) -> None:
    record = sound.privacy[0]
    assert record.max_tpr["0.01"] == pytest.approx(ndtr(ndtri(0.01) + record.mu))
    assert record.max_accuracy == pytest.approx(ndtr(record.mu / 2))


def test_utility_has_limits_over_the_records_and_says_how_many_runs(sound: Result) -> None:
    for kind in ("undefended", "defended"):
        found = sound.utility[kind]["task"]
        for side in ("test", "train"):
            low, high = found[f"{side}_ci"]
            assert low < found[side] < high
            assert high - low < 4 / found[f"{side}_n"] ** 0.5
        assert found["runs"] >= 1
    scores = {kind: found["task"] for kind, found in sound.utility.items()}
    assert scores["undefended"]["test_ci"][0] > scores["defended"]["test_ci"][1]


def test_a_defense_that_forgets_its_noise_fails_the_audit_even_outside_the_gate(
    tmp_path: Path,
) -> None:
    result = audited(tmp_path / "run", Unnoised(noise_multiplier=40.0), metric="auc")
    finding = result["fully-connected"]
    assert result.verdict == "leak"
    assert finding.broken
    assert finding.ci[0] > finding.bound
    assert "implementation is broken" in result.reason


def test_runs_average_and_keep_the_width_of_one() -> None:
    runs = [
        {"metric": "accuracy", "test": a, "test_ci": [a - 0.1, a + 0.1], "test_n": 50}
        for a in (0.5, 0.7)
    ]
    random.Random(0).shuffle(runs)
    found = over_runs(runs)
    assert found["test"] == pytest.approx(0.6)
    assert found["test_ci"] == pytest.approx([0.5, 0.7])
    assert (found["test_n"], found["runs"], found["test_range"]) == (50, 2, [0.5, 0.7])
    assert over_runs(runs[:1]).keys() == {*runs[0], "runs"}
