"""Logistic regression on encrypted records."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from seepage.core.errors import RefusedError, SeepageWarning, UsageError
from seepage.crypto.environments.cards import OPENFHE
from seepage.crypto.environments.find import find
from seepage.crypto.environments.worker import WorkerError
from seepage.crypto.logistic.model import Layout, Training, signed_records, with_constant
from seepage.crypto.logistic.session import Session, train_encrypted

openfhe = pytest.mark.skipif(
    find(OPENFHE) is None, reason=f"there is no environment for OpenFHE: {OPENFHE.command} makes it"
)
Records = tuple[np.ndarray, np.ndarray]


def hospitals(*sizes: int, features: int = 10) -> list[Records]:
    rng = np.random.default_rng(0)
    slope = rng.normal(size=features)
    found: list[Records] = []
    for size in sizes:
        x = rng.uniform(-1, 1, (size, features))
        found.append((x, (x @ slope + rng.normal(size=size) / 2 > 0).astype(np.int64)))
    return found


def signed(clients: list[Records]) -> np.ndarray:
    return np.concatenate([signed_records(x, y, "all") for x, y in clients])


def test_exact_rounds_lead_to_the_maximum_of_the_likelihood() -> None:
    clients = hospitals(60, 60)
    found = Training(rounds=4000, rate=5.0).weights(signed(clients), exact=True)
    x, y = (np.concatenate(part) for part in zip(*clients, strict=True))
    best = LogisticRegression(C=1e9, max_iter=10_000, tol=1e-9).fit(x, y)
    assert found == pytest.approx([*best.coef_[0], *best.intercept_], rel=0.02)


@pytest.mark.parametrize("margin", [2.0, 6.0])
def test_the_cubic_is_near_the_logistic_function_within_its_margin(margin: float) -> None:
    one, linear, cube = Training(margin=margin).cubic
    t = np.linspace(-margin, margin, 101)
    off = one + linear * t + cube * t**3 - 1 / (1 + np.exp(t))
    assert np.abs(off).max() < (0.01 if margin == 2 else 0.1)
    assert np.abs(off.mean()) < 1e-9


def test_records_lie_in_blocks_one_after_the_other() -> None:
    layout = Layout(slots=32, columns=5)
    records = np.arange(1, 36, dtype=np.float64).reshape(7, 5)
    both = {**layout.blocks(records[:3]), 9: np.zeros(1)}
    rest = layout.blocks(records[3:], start=3)
    assert sorted(both) == [0, 9]
    assert sorted(rest) == [0, 1]
    joined = np.concatenate([both[0] + rest[0], rest[1]]).reshape(-1, 8)
    assert np.array_equal(joined[:7, :5], records)
    assert not joined[:, 5:].any()
    assert not joined[7:].any()
    with pytest.raises(UsageError, match="at most 32"):
        Layout(slots=32, columns=33)


@pytest.mark.parametrize(
    ("features", "labels", "error", "words"),
    [
        ([[0.5, 1.5]], [1], RefusedError, r"client 0: features have to be in \[-1, 1\]"),
        ([[0.5, np.nan]], [1], RefusedError, "nothing was sent"),
        ([[0.5, 0.5]], [-1], RefusedError, "labels have to be 0 or 1"),
        ([[0.5, 0.5]], [1, 0], RefusedError, "1 records and 2 labels"),
        ([0.5, 0.5], [1, 0], UsageError, r"of shape \[n, d\]"),
    ],
)
def test_what_can_not_be_trained_on_is_refused(
    features: list[float], labels: list[int], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        train_encrypted([(features, labels)])
    with pytest.raises(UsageError, match="rate is 0"):
        Training(rate=0)


@openfhe
def test_training_under_encryption_is_training_in_the_open() -> None:
    clients, plan = hospitals(70, 60, 20), Training(rounds=3, rate=2.0)
    asked = np.random.default_rng(1).uniform(-1, 1, (140, 10))
    with pytest.warns(SeepageWarning, match="INSECURE TOY"):
        found = train_encrypted(clients, plan, asked=asked, insecure_toy=True)
    want = plan.weights(signed(clients))
    assert np.abs(found.weights - want).max() < 1e-5
    assert np.abs(found.scores - with_constant(asked) @ want).max() < 1e-4
    exact = with_constant(asked) @ plan.weights(signed(clients), exact=True)
    assert np.mean((found.scores > 0) == (exact > 0)) > 0.95
    assert len(found.round_seconds) == 3
    kinds = {m.kind for m in found.views["server"].received}
    assert kinds == {
        "agreement key", "sealed key", "public key", "evaluation keys", "context", "records",
        "questions",
    }  # fmt: skip


@openfhe
def test_weights_that_leave_their_range_are_not_handed_out() -> None:
    x = np.ones((10, 2))
    plan = Training(rounds=1, rate=20.0)
    with (
        pytest.warns(SeepageWarning, match="INSECURE TOY"),
        pytest.raises(RefusedError, match="use a lower rate or fewer rounds"),
    ):
        train_encrypted([(x, np.ones(10))], plan, insecure_toy=True)


@openfhe
def test_the_server_has_no_key_to_decrypt_with() -> None:
    session = Session(Layout(slots=2048, columns=3), Training(), insecure_toy=True)
    with session.processes(1) as (clients, server):
        (sent,) = clients.call("encrypt", [np.ones(2048)]).parts
        assert clients.call("decrypt", [sent], client=0).parts[0] == pytest.approx(np.ones(2048))
        with pytest.raises(WorkerError, match="Decrypt"):
            server.call("decrypt", [sent])
