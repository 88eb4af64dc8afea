"""Encrypted uploads, robust reductions on shares, and an opening by enough clients."""

from pathlib import Path

import numpy as np
import pytest
from hybrid_sums import STAGES, Rows, reduced, rows_of, summed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer

from seepage.core.errors import RefusedError, UsageError
from seepage.crypto.api import secure_sum
from seepage.crypto.cards import protocol_card
from seepage.crypto.entropy import Entropy
from seepage.crypto.hybrid import rounds
from seepage.crypto.hybrid.parameters import BITS, RING_DEGREE
from seepage.crypto.hybrid.session import Hybrid
from seepage.crypto.hybrid.team import Team
from seepage.crypto.hybrid.words import Words
from seepage.crypto.protocol import SumJob


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    clients=st.integers(2, 6),
    width=st.sampled_from([1, 33, RING_DEGREE + 1]),
    seed=st.integers(0, 99),
    gone=st.dictionaries(st.integers(0, 5), st.sampled_from(STAGES), max_size=3),
    data=st.data(),
)
def test_the_survivors_are_reduced_as_by_numpy_or_all_is_aborted(
    team: Team, clients: int, width: int, seed: int, gone: dict[int, str], data: st.DataObject
) -> None:
    rows = rows_of(clients, width, seed)
    drop = {client: stage for client, stage in gone.items() if client < clients}
    alive = [c for c in range(clients) if drop.get(c) not in STAGES[:3]]
    able = clients - len(drop)
    trim = (len(alive) - 1) // 2
    expected = reduced(rows[alive], trim) if alive else {"sum": rows[0]}
    kind = data.draw(st.sampled_from(sorted(expected)))
    of = {"reduction": kind, "clip_norm": 0.5, "trim": max(trim, 1)}
    if len(alive) < 2 or (drop and able < clients // 2 + 1):
        with pytest.raises(RefusedError, match="nothing was released"):
            summed(team, rows, drop=drop, **of)
        return
    found = summed(team, rows, drop=drop, **of)
    assert found.survivors == tuple(alive)
    assert np.abs(found.sum - expected[kind]).max() <= found.max_error
    assert found.max_error < (1e-6 if kind != "clip" else 2e-3)


def test_weights_are_secret_and_an_error_as_large_as_stated_is_met(team: Team) -> None:
    rows, weights = rows_of(4, 3), (0.5, 3.0, 0.0, 1.25)
    job = SumJob(
        vectors=tuple(rows), weights=weights, weight_bound=4.0, bound=1.0, entropy=Entropy()
    )
    found = Hybrid().run(job, team)
    assert np.abs(found.sum - np.dot(weights, rows)).max() <= found.max_error < 1e-5
    assert found.weight == pytest.approx(4.75, abs=found.max_error)
    with pytest.raises(UsageError, match="median takes no weights"):
        Hybrid(reduction="median").run(job, team)
    exact = np.full((4, 1), 0.49 / 2**24)  # each is off by half a step, all the same way
    found = summed(team, exact)
    assert 0.97 * found.max_error < abs(found.sum[0] - exact.sum()) <= found.max_error


@pytest.mark.parametrize("kind", ["clip", "median", "trimmed-mean"])
def test_words_out_of_range_move_no_reduction_past_the_honest(
    team: Team, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    rows, honest = rows_of(5, 50), rounds._coded
    lies = {0: 2 ** (BITS - 1) - 1, 1: -(2 ** (BITS - 1))}

    def coded(plan: object, job: SumJob, client: int) -> Words:
        return np.full(50, lies[client]) if client in lies else honest(plan, job, client)

    monkeypatch.setattr(rounds, "_coded", coded)
    found = summed(team, rows, reduction=kind, trim=2)
    if kind == "clip":
        liars = 2 / np.sqrt(50)
        norms = np.linalg.norm(rows[2:], axis=1, keepdims=True)
        assert np.abs(found.sum - (rows[2:] / norms).sum(0)).max() <= liars + found.max_error
    else:
        assert (found.sum >= rows[2:].min(0) - found.max_error).all()
        assert (found.sum <= rows[2:].max(0) + found.max_error).all()


def test_refusals_are_one_line_and_leave_the_team_to_others(team: Team) -> None:
    for odd in (np.nan, np.inf, 1.5):
        with pytest.raises(RefusedError, match="client 1: entry 2 is"):
            summed(team, np.where(np.arange(12).reshape(3, 4) == 6, odd, rows_of(3, 4)))
    with pytest.raises(RefusedError, match="1 clients send a vector, and the minimum cohort is 2"):
        summed(team, rows_of(2, 4), drop={0: "upload"})
    with pytest.raises(UsageError, match=r"within 512 clip norms.*nearer to clip_norm"):
        summed(team, rows_of(2, 4), reduction="clip", clip_norm=1e-3)
    assert np.abs(summed(team, rows_of(2, 4)).sum - rows_of(2, 4).sum(0)).max() < 1e-6


def test_without_its_environments_one_command_makes_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path)
    for name in ("OPENFHE", "SPU"):
        monkeypatch.delenv(f"SEEPAGE_{name}_PYTHON", raising=False)
    both = "seepage doctor --make openfhe --make spu"
    assert protocol_card("hybrid").missing() == both
    with pytest.raises(UsageError, match="seepage doctor --make openfhe"):
        secure_sum(rows_of(2, 4), protocol="hybrid")


BOUND = 64.0


class Regression:
    """Logistic regression of 5 hospitals on tumors, of which the first sends what it likes."""

    def __init__(self) -> None:
        data = load_breast_cancer()
        features = (data.data - data.data.mean(0)) / data.data.std(0)
        self.features = np.column_stack([features, np.ones(len(features))])
        self.labels = data.target
        order = np.random.default_rng(0).permutation(len(features))
        self.held_out, *self.hospitals = np.array_split(order, 6)
        self.model = np.zeros(self.features.shape[1])

    def updates(self, poison: float) -> Rows:
        found = []
        for mine in self.hospitals:
            model = self.model.copy()
            for _ in range(20):
                odds = 1 / (1 + np.exp(-self.features[mine] @ model))
                model += 0.3 * self.features[mine].T @ (self.labels[mine] - odds) / len(mine)
            found.append(model - self.model)
        found[0] = np.clip(poison * found[0], -BOUND, BOUND)  # it keeps to the public range
        return np.stack(found)

    def accuracy(self) -> float:
        guesses = self.features[self.held_out] @ self.model > 0
        return float((guesses == self.labels[self.held_out]).mean())


def test_a_model_trains_past_a_poisoned_client_where_the_mean_breaks(team: Team) -> None:
    def trained(poison: float, **of: object) -> float:
        regression = Regression()
        for _ in range(3):
            found = summed_updates(regression.updates(poison), **of)
            regression.model += found / (1 if of["reduction"] == "median" else 5)
        return regression.accuracy()

    def summed_updates(updates: Rows, **of: object) -> Rows:
        job = SumJob(vectors=tuple(updates), bound=BOUND, entropy=Entropy())
        return Hybrid(**of).run(job, team).sum

    assert trained(1.0, reduction="sum") > 0.95
    assert trained(-50.0, reduction="sum") < 0.5
    assert trained(-50.0, reduction="median") > 0.95
    assert trained(-50.0, reduction="clip", clip_norm=0.5) > 0.9
