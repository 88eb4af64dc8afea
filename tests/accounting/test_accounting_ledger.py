"""What a ledger charges: closed forms, every mechanism, once a release, under common terms."""

import json
import random
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import sqrt
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seepage.accounting.composed import compose
from seepage.accounting.gaussian import epsilon_of, mu_of
from seepage.accounting.laplace import Laplace
from seepage.accounting.ledger import BudgetExceeded, Ledger
from seepage.accounting.ledger_filter import PrivacyFilter, filter_for
from seepage.accounting.matrix_gaussian import MatrixGaussian
from seepage.accounting.mechanism import Mechanism, mechanism_from_json
from seepage.accounting.randomized_response import RandomizedResponse
from seepage.accounting.record import epsilon_and_accountant, gaussian_record
from seepage.accounting.sampled_gaussian import SampledGaussian
from seepage.core.errors import RefusedError, UsageError
from seepage.core.privacy import EpsilonRecord

DELTA = 1e-5
MU = mu_of(1.5, DELTA)
ONE = SampledGaussian(noise_multiplier=1 / MU)
SAMPLED = SampledGaussian(noise_multiplier=1.0, sample_rate=0.1)
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # syncing a disk changes no answer


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(dir=MEMORY))
    yield path
    shutil.rmtree(path)


def opened(folder: Path, epsilon: float = 80.0) -> Ledger:
    return Ledger(folder / "ledger.db", target_epsilon=epsilon, target_delta=DELTA)


def record(observer: str = "honest-server", **changes: object) -> EpsilonRecord:
    values = {"unit": "client", "adjacency": "replace", "noise_multiplier": 4.0, **changes}
    return gaussian_record(
        mechanism="Gaussian", releases=1, delta=DELTA, observer=observer, trust="", **values
    )


def test_five_hundred_releases_at_1_5_are_73_6(folder: Path) -> None:
    ledger, spent = opened(folder), [0.0]
    for release in range(500):
        ledger.charge("c", ONE, release_id=release)
        if release % 50 == 49:
            spent.append(ledger.spent("c"))
    assert spent[-1] == pytest.approx(73.6, abs=0.05)
    assert spent[-1] == pytest.approx(epsilon_of(MU * sqrt(500), DELTA), rel=1e-9)
    assert all(less < more for less, more in pairwise(spent))
    assert ledger.spent("nobody") == 0.0
    assert ledger.clients() == ("c",)


def test_exactly_what_fits_is_charged_and_nothing_more(folder: Path) -> None:
    ledger = opened(folder, epsilon_of(MU * sqrt(5), DELTA))
    for release in range(5):
        assert ledger.remaining("c", ONE) == 5 - release
        ledger.charge("c", ONE, release_id=release)
    before = ledger.path.read_bytes()
    with pytest.raises(BudgetExceeded, match=r"'c' has spent epsilon 3\.708 of 3\.70769") as caught:
        ledger.charge("c", ONE, release_id="sixth")
    assert "epsilon 1.5 alone" in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(BudgetExceeded):
        ledger.charge("new", replace(ONE, releases=6), release_id="at once")
    assert ledger.path.read_bytes() == before
    assert ledger.spent("c") == ledger.target_epsilon
    ledger.charge("c", ONE, release_id=3)  # a retry of what is paid for
    ledger.charge("new", replace(ONE, releases=5), release_id="at once")


@pytest.mark.parametrize("rate", [1.0, 0.1])
def test_what_no_noise_protects_is_never_charged(folder: Path, rate: float) -> None:
    bare = SampledGaussian(noise_multiplier=0.0, sample_rate=rate)
    with pytest.raises(BudgetExceeded, match="epsilon inf alone"):
        opened(folder).charge("c", bare, release_id=1)
    assert opened(folder).clients() == ()


@settings(max_examples=15, deadline=None)
@given(
    mus=st.lists(st.floats(1e-4, 1.0), min_size=1, max_size=5),
    counts=st.lists(st.integers(1, 5), max_size=3),
    seed=st.integers(0, 99),
)
def test_the_order_of_charges_does_not_matter(
    mus: list[float], counts: list[int], seed: int
) -> None:
    exact: list[Mechanism] = [SampledGaussian(noise_multiplier=1 / mu) for mu in mus]
    bounded: list[Mechanism] = [replace(SAMPLED, releases=count) for count in counts]
    first, *rest = random.Random(seed).sample(exact, len(exact))
    rest += bounded
    random.Random(seed).shuffle(rest)
    spent: list[float] = []
    for order in ([*exact, *bounded], [first, *rest]):
        with tempfile.TemporaryDirectory(dir=MEMORY) as made:
            ledger = opened(Path(made))
            for release, mechanism in enumerate(order):
                ledger.charge("c", mechanism, release_id=release)
            spent.append(ledger.spent("c"))
    assert spent[0] == spent[1]
    total = compose([*exact, *bounded]).mu_bound
    assert spent[0] == pytest.approx(epsilon_of(total, DELTA), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(("rate", "sigma", "target"), [(0.1, 1.0, 16.56), (0.01, 1.0, 8.0)])
def test_sampled_releases_get_their_amplification_and_never_too_low_an_epsilon(
    folder: Path, rate: float, sigma: float, target: float
) -> None:
    one, ledger = SampledGaussian(noise_multiplier=sigma, sample_rate=rate), opened(folder, target)
    fit = ledger.remaining("c", one)
    tight = replace(one, releases=fit)
    assert 0.85 * target < epsilon_and_accountant(tight, DELTA)[0] <= target
    for releases in (fit // 3, fit // 3, fit - 2 * (fit // 3)):
        part = replace(one, releases=releases)
        ledger.charge("c", part, release_id=len(ledger.charges("c")))
        charged = sum(charge.mechanism["releases"] for charge in ledger.charges("c"))
        so_far = epsilon_and_accountant(replace(one, releases=charged), DELTA)[0]
        assert so_far <= ledger.spent("c") <= target
    assert ledger.remaining("c", one) == 0


@pytest.mark.parametrize(
    "one",
    [
        Laplace(noise_multiplier=2.0, adjacency="replace"),
        RandomizedResponse(epsilon=0.5, categories=4),
        MatrixGaussian(noise_multiplier=8.0, releases=20, participations=2, min_separation=5),
        compose([Laplace(noise_multiplier=4.0), replace(SAMPLED, noise_multiplier=3.0)]),
    ],
    ids=lambda one: one.kind,
)
def test_any_mechanism_is_charged_and_never_too_low(folder: Path, one: Mechanism) -> None:
    ledger = opened(folder, 20.0)
    fit = ledger.remaining("c", one)
    for release in range(4):
        ledger.charge("c", one, release_id=release)
        ledger.charge("c", one, release_id=release)
        tight = epsilon_and_accountant(compose([one] * (release + 1)), DELTA)[0]
        assert tight * (1 - 1e-9) <= ledger.spent("c") <= 20.0
    assert mechanism_from_json(ledger.charges("c")[0].mechanism) == one
    assert ledger.remaining("c", one) == fit - 4
    assert epsilon_and_accountant(compose([one] * fit), DELTA)[0] <= 20.0


def test_the_rule_is_fixed_by_the_first_charge(folder: Path) -> None:
    ledger = opened(folder, 8.0)
    assert filter_for(ONE, 8.0, DELTA).order is None
    first = filter_for(SAMPLED, 8.0, DELTA)
    assert first.order is not None
    # Where sampling is worth nothing, the bound by Gaussian DP is the better rule.
    assert filter_for(replace(SAMPLED, adjacency="replace"), 8.0, DELTA).order is None
    ledger.charge("sampled first", SAMPLED, release_id=1)
    ledger.charge("sampled first", ONE, release_id=2)
    spent = first.epsilon(first.cost(SAMPLED) + first.cost(ONE))
    assert ledger.spent("sampled first") == pytest.approx(spent, rel=1e-12)
    ledger.charge("sampled later", ONE, release_id=3)
    ledger.charge("sampled later", SAMPLED, release_id=4)
    assert ledger.spent("sampled later") == pytest.approx(epsilon_of(sqrt(MU**2 + 1), DELTA))


def test_whoever_charges_first_fixes_the_rule(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = opened(folder, 8.0)

    def overtaken(first: Mechanism, *target: float) -> PrivacyFilter:
        if first == SAMPLED:
            opened(folder, 8.0).charge("c", ONE, release_id="overtakes")
        return filter_for(first, *target)

    monkeypatch.setattr("seepage.accounting.ledger.filter_for", overtaken)
    ledger.charge("c", SAMPLED, release_id="overtaken")
    assert ledger.spent("c") == pytest.approx(epsilon_of(sqrt(MU**2 + 1), DELTA))


def test_a_release_is_charged_once(folder: Path) -> None:
    ledger = opened(folder)
    ledger.charge("c", record(), release_id="r")
    before = ledger.path.read_bytes()
    ledger.charge("c", record(), release_id="r")
    ledger.charge("c", SampledGaussian(noise_multiplier=4, adjacency="replace"), release_id="r")
    with pytest.raises(RefusedError, match="'r' was charged for another mechanism before"):
        ledger.charge("c", record(noise_multiplier=4.1), release_id="r")
    with pytest.raises(RefusedError, match="'r' was charged for client 'c' before"):
        ledger.charge("d", record(), release_id="r")
    assert ledger.path.read_bytes() == before
    assert ledger.spent("c") == pytest.approx(epsilon_of(0.5, DELTA), rel=1e-9)


@pytest.mark.parametrize(
    "other",
    [{"unit": "record"}, {"adjacency": "add-remove"}, {"observer": "model-holder"}],
)
def test_what_has_no_common_epsilon_is_not_summed(folder: Path, other: dict[str, str]) -> None:
    ledger = opened(folder)
    ledger.charge("c", SampledGaussian(noise_multiplier=9.0, adjacency="replace"), release_id=0)
    ledger.charge("c", record(), release_id=1)
    with pytest.raises(RefusedError, match=f"{next(iter(other))} .*no common epsilon"):
        ledger.charge("c", record(**other), release_id=2)
    with pytest.raises(RefusedError, match="no common epsilon"):
        ledger.remaining("c", record(**other))
    if "adjacency" not in other:  # the same mechanism, under other terms
        with pytest.raises(RefusedError, match="no common epsilon"):
            ledger.charge("c", record(**other), release_id=1)
    with pytest.raises(RefusedError, match="add-remove and replace"):
        ledger.charge("d", compose([ONE, replace(ONE, adjacency="replace")]), release_id=3)
    ledger.charge("d", record(**other), release_id=2)


def test_what_can_not_be_charged_says_why(folder: Path) -> None:
    ledger = opened(folder)
    with pytest.raises(UsageError, match="does not say what it is composed of"):
        ledger.charge("c", replace(record(), composition=()), release_id=1)
    with pytest.raises(UsageError, match=r"1\.5 can't be charged"):
        ledger.charge("c", 1.5, release_id=1)
    for wrong in ("", "a\nb", "\ud800", True, 2**63, 1.5, None):
        with pytest.raises(UsageError, match="use a printable text or a whole number"):
            ledger.charge(wrong, ONE, release_id=1)
        with pytest.raises(UsageError, match="release_id"):
            ledger.charge("c", ONE, release_id=wrong)
    for target in ({"target_epsilon": 0.0}, {"target_epsilon": float("nan")}, {"target_delta": 1}):
        with pytest.raises(UsageError, match="target_"):
            Ledger(folder / "x", **{"target_epsilon": 1.0, "target_delta": DELTA, **target})
    assert ledger.clients() == ()


def test_the_read_side_gives_ids_as_given_mechanisms_and_utc_times(folder: Path) -> None:
    ledger = opened(folder)
    for client in (7, "7", "Zoë"):
        ledger.charge(client, ONE, release_id=f"r{client!r}")
    assert ledger.clients() == (7, "7", "Zoë")
    (charge,) = ledger.charges(7)
    assert charge.release_id == "r7"
    assert charge.mechanism == json.loads(json.dumps(ONE.to_json()))
    when = datetime.fromisoformat(charge.charged_at)
    assert when.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - when) < timedelta(minutes=1)
    assert ledger.charges("nobody") == ()
