from dataclasses import asdict
from math import inf, isnan, sqrt

import pytest

from seepage.accounting.api import epsilon
from seepage.accounting.gaussian import epsilon_of
from seepage.accounting.record import gaussian_record, unprotected_record
from seepage.core.errors import UsageError
from seepage.core.privacy import EpsilonRecord

RECORD = {
    "mechanism": "Gaussian",
    "noise_multiplier": 2.0,
    "releases": 9,
    "delta": 1e-5,
    "unit": "client",
    "adjacency": "replace",
    "observer": "honest-server",
    "trust": "nobody",
}


def test_a_record_is_complete() -> None:
    record = epsilon(1.0, 0.1, 500, 1e-5)
    assert (record.unit, record.adjacency, record.releases) == ("record", "add-remove", 500)
    assert record.observer == "honest-server"
    assert "not which records were sampled" in record.trust
    assert record.mu is None
    assert record.total_epsilon == pytest.approx(16.56, abs=0.03)
    assert 1.5 < record.per_release_epsilon < 2.0 < record.total_epsilon
    assert set(record.rero) == {"0.01", "0.001"}
    assert record.rero["0.001"] < record.rero["0.01"] < 1
    assert record.information_bits == pytest.approx(5.235, abs=0.01)


def test_replace_has_twice_the_sensitivity_and_releases_compose() -> None:
    record = gaussian_record(**RECORD)
    assert record.mu == pytest.approx(2 / 2.0 * sqrt(9))
    assert record.total_epsilon == pytest.approx(epsilon_of(3.0, 1e-5))
    assert record.per_release_epsilon == pytest.approx(epsilon_of(1.0, 1e-5))
    assert record.accountant.startswith("exact Gaussian DP")
    halved = gaussian_record(**{**RECORD, "sensitivity": 0.5})
    assert halved.mu == pytest.approx(1.5)


@pytest.mark.parametrize("rate", [0.1, 1.0])
def test_without_noise_nothing_holds_and_nothing_is_nan(rate: float) -> None:
    none = epsilon(0.0, rate, 10, 1e-5)
    server = unprotected_record(**{k: v for k, v in RECORD.items() if k != "noise_multiplier"})
    for record in (none, server):
        assert record.total_epsilon == record.per_release_epsilon == inf
        assert record.information_bits == inf
        assert set(record.rero.values()) == {1.0}
        assert not any(isnan(v) for v in _floats(record))


def _floats(record: EpsilonRecord) -> list[float]:
    values = [*asdict(record).values(), *record.rero.values()]
    return [v for v in values if isinstance(v, float)]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"noise_multiplier": -1.0}, "noise_multiplier"),
        ({"noise_multiplier": float("nan")}, "noise_multiplier"),
        ({"noise_multiplier": inf}, "noise_multiplier"),
        ({"sample_rate": 0.0}, "sample_rate"),
        ({"sample_rate": 1.2}, "sample_rate"),
        ({"releases": 0}, "releases"),
        ({"releases": 2.5}, "releases"),
        ({"delta": 0.0}, "delta"),
        ({"delta": 1.0}, "delta"),
        ({"adjacency": "replaced"}, "did you mean 'replace'"),
        ({"unit": "household"}, "unit"),
        ({"observer": "nobody"}, "observer"),
        ({"noise": "dice"}, "noise source"),
        ({"sensitivity": 0.0}, "sensitivity"),
    ],
)
def test_what_makes_no_mechanism_is_a_usage_error_of_one_line(
    change: dict[str, object], named: str
) -> None:
    with pytest.raises(UsageError, match=named) as caught:
        gaussian_record(**{**RECORD, **change})
    assert "\n" not in str(caught.value)
