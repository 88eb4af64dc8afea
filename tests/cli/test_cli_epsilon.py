"""`seepage epsilon` as a person and a pipeline see it."""

import json
import re

import pytest
from click.testing import CliRunner, Result

from seepage.accounting import deployment, record, sampled_gaussian
from seepage.cli import epsilon as command
from seepage.core.errors import UsageError


def seepage_epsilon(arguments: str) -> Result:
    return CliRunner().invoke(command.epsilon, arguments.split())


def test_json_has_short_and_long_names() -> None:
    done = seepage_epsilon("--release-epsilon 1.5 --releases 500 --delta 1e-5 --json")
    content = json.loads(done.stdout)
    assert content["total_epsilon"] == pytest.approx(73.6, abs=0.05)
    assert content["release_epsilon"] == content["per_release_epsilon"] == pytest.approx(1.5)
    assert content["mu"] == pytest.approx(8.66, abs=0.005)
    assert content["bits"] == content["information_bits"] == pytest.approx(54, abs=0.5)
    assert content["rero"]["0.01"] == pytest.approx(1.0, abs=1e-3)
    assert (content["adjacency"], content["unit"]) == ("add-remove", "record")
    assert (content["observer"], content["delta"]) == ("central", 1e-5)
    assert content["accountant"].startswith("exact Gaussian DP")
    assert content["composition"][0]["kind"] == "gaussian"
    assert "noise_multiplier" not in content


def test_a_target_is_answered_with_noise() -> None:
    done = seepage_epsilon("--target-epsilon 2.5 --sample-rate .1 --releases 500 --json")
    content = json.loads(done.stdout)
    assert content["noise_multiplier"] == pytest.approx(3.78, abs=0.005)
    assert 2.49 < content["total_epsilon"] <= 2.5


def test_an_observer_and_its_participations() -> None:
    flags = "--noise-multiplier 5.885 --sample-rate .1 --steps 500 --adjacency zero-out --json"
    for observer, total in (
        ("--observer central", 1.5),
        ("--observer participation-aware", 5.4),
        ("--observer participation-aware --clients 10", 5.4),
        ("--observer participation-aware --participations 70", 6.6),
        ("--observer single-updates --clients 10", 22.8),
    ):
        content = json.loads(seepage_epsilon(f"{flags} {observer}").stdout)
        assert content["total_epsilon"] == pytest.approx(total, abs=0.05)
        assert content["observer"] == observer.split()[1]


def test_a_table_and_a_curve() -> None:
    done = seepage_epsilon("--release-epsilon 2 --releases 100 --curve")
    assert done.exit_code == 0
    assert re.search(r"total_epsilon +33\.25\n", done.stdout)
    assert re.search(r"rero at prior 0.01 +0\.996", done.stdout)
    assert re.search(r"max TPR at FPR 0.01 +0\.996", done.stdout)
    *_, first, last = [line.split() for line in done.stdout.splitlines() if "#" in line][::9]
    assert (first[:2], last[:2]) == (["1", "2"], ["100", "33.25"])
    content = json.loads(seepage_epsilon("--noise-multiplier 0 --curve --json").stdout)
    assert content["curve"] == [{"releases": 1, "epsilon": "unbounded"}]
    assert content["total_epsilon"] == "unbounded"


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "--noise-multiplier 1 --release-epsilon 1",
        "--noise-multiplier 1 --clients 3",
        "--noise-multiplier 1 --mechanism pure",
        "--target-epsilon 0",
    ],
)
def test_what_contradicts_itself_is_a_usage_error_of_one_line(arguments: str) -> None:
    done = seepage_epsilon(arguments)
    assert isinstance(done.exception, UsageError)
    assert "\n" not in str(done.exception)


def test_the_command_offers_what_accounting_knows() -> None:
    options = {p.name: p for p in command.epsilon.params}
    assert command.MECHANISMS == deployment.MECHANISMS
    assert tuple(options["observer"].type.choices) == record.VANTAGES
    assert sorted(options["adjacency"].type.choices) == sorted(sampled_gaussian.ADJACENCIES)
    fields = set(deployment.Deployment.__dataclass_fields__)
    assert fields == set(options) - {"curve", "as_json"}
