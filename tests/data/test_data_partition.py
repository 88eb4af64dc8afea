import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seepage.core.errors import DataError
from seepage.core.plan import DataPlan
from seepage.data.api import from_arrays, load
from seepage.data.dataset import Dataset
from seepage.data.partition import split


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def made(rows: int, classes: int = 3, groups: list[str] | None = None) -> Dataset:
    return Dataset(
        name="made",
        inputs=torch.arange(float(rows))[:, None],
        targets=torch.arange(rows) % classes if classes else torch.arange(float(rows)),
        classes=classes,
        groups=None if groups is None else tuple(groups),
    )


@settings(max_examples=150, deadline=None)
@given(
    rows=st.integers(2, 90),
    clients=st.integers(1, 9),
    partition=st.sampled_from(["iid", "dirichlet", "column"]),
    alpha=st.sampled_from([1e-6, 0.05, 1.0, 1e6]),
    holdout=st.floats(0.01, 0.99),
    auxiliary=st.floats(0, 0.9),
    seed=st.integers(0, 99),
)
def test_every_row_is_in_one_part(rows, clients, partition, alpha, holdout, auxiliary, seed):
    groups = [str(g) for g in rng(seed).integers(0, clients, rows)]
    data = made(rows, groups=groups)
    plan = DataPlan(partition=partition, clients=clients, alpha=alpha)
    try:
        parts, aside = split(data, plan, rng(seed), holdout=holdout, auxiliary=auxiliary)
    except DataError:
        count = max(round(auxiliary * rows), 1 if auxiliary else 0)
        if partition == "column":
            smallest = min(groups.count(g) for g in set(groups))
            assert smallest < 2 or rows < 5 * clients or auxiliary < 0.1
        else:
            assert rows - count < 2 * clients
        return
    pieces = [aside, *(p for client in parts for p in (client.train, client.holdout))]
    assert sorted(torch.cat([p.rows for p in pieces]).tolist()) == list(range(rows))
    for piece in pieces:
        assert torch.equal(piece.inputs, data.inputs[piece.rows])
        assert torch.equal(piece.targets, data.targets[piece.rows])
    for client in parts:
        size = len(client.train) + len(client.holdout)
        assert min(len(client.train), len(client.holdout)) >= 1
        assert abs(len(client.holdout) - holdout * size) <= 1
        if partition == "column":
            assert {groups[i] for i in client.train.rows} == {client.name}
    if partition != "column":
        sizes = [len(c.train) + len(c.holdout) for c in parts]
        assert len(parts) == clients
        assert max(sizes) - min(sizes) <= 1
        assert len(aside) == max(round(auxiliary * rows), 1 if auxiliary else 0)
    else:
        assert [c.name for c in parts] == sorted(set(groups))


def test_the_same_seed_gives_the_same_parts() -> None:
    for partition in ("iid", "dirichlet"):
        plan = DataPlan(partition=partition)
        one, same, other = (split(made(200), plan, rng(s))[0][3].train.rows for s in (1, 1, 2))
        assert torch.equal(one, same)
        assert not torch.equal(one.sort().values, other.sort().values)


def skew(alpha: float, seed: int) -> float:
    """Mean total-variation distance of the clients' labels from everybody's."""
    data = load(DataPlan(source="digits"), rng=rng())
    plan = DataPlan(partition="dirichlet", clients=10, alpha=alpha)
    parts, _ = split(data, plan, rng(seed))
    counts = np.array([np.bincount(c.train.targets.numpy(), minlength=10) for c in parts])
    shares = counts / counts.sum(axis=1, keepdims=True)
    overall = counts.sum(axis=0) / counts.sum()
    return float(np.abs(shares - overall).sum(axis=1).mean() / 2)


def test_a_smaller_alpha_is_more_skewed() -> None:
    means = [np.mean([skew(alpha, seed) for seed in range(3)]) for alpha in (0.1, 1, 10, 1e5)]
    assert means == sorted(means, reverse=True)
    assert means[0] > 0.5
    # What even shares leave by the luck of the draw, with about 101 records a client.
    assert means[-1] < 0.15


def test_holdout_and_auxiliary_are_of_the_same_population() -> None:
    data = made(4000, classes=2)
    parts, aside = split(data, DataPlan(partition="dirichlet", alpha=0.3, clients=4), rng())
    assert len(aside) == 1000
    assert abs(aside.targets.double().mean() - 0.5) < 0.06
    for client in parts:
        gap = client.train.targets.double().mean() - client.holdout.targets.double().mean()
        assert abs(gap) < 0.12


def test_column_takes_from_every_group_in_proportion() -> None:
    data = made(1000, groups=["a"] * 700 + ["b"] * 297 + ["c"] * 3)
    for seed in range(20):
        parts, aside = split(data, DataPlan(partition="column", clients=99), rng(seed))
        assert [c.name for c in parts] == ["a", "b", "c"]
        assert abs(int((aside.rows < 700).sum()) - 175) <= 1
        assert len(parts[2].train) + len(parts[2].holdout) >= 2


@pytest.mark.parametrize(
    ("data", "plan", "message"),
    [
        (made(20), DataPlan(clients=8), "20 rows are too few for 8 clients.*at most 7 clients"),
        (made(20), DataPlan(clients=0), "clients is 0"),
        (made(90, 0), DataPlan(partition="dirichlet"), "a regression has none; use iid"),
        (made(90), DataPlan(partition="dirichlet", alpha=0.0), "alpha is 0"),
        (made(90), DataPlan(partition="column"), "needs data.column to name a column"),
        (made(3, groups=["a", "a", "b"]), DataPlan(partition="column"), "client 'b' has 1 row"),
        (made(4, groups=list("aabb")), DataPlan(partition="column"), "none for the auxiliary"),
        (made(90), DataPlan(partition="dirichelt"), "did you mean 'dirichlet'"),
    ],
)
def test_partitions_that_can_not_be(data, plan, message) -> None:
    with pytest.raises(DataError, match=message):
        split(data, plan, rng())


def test_shares_out_of_range() -> None:
    for shares in ({"holdout": 0}, {"holdout": 1}, {"auxiliary": 1}):
        with pytest.raises(DataError, match="must lie in"):
            split(made(90), DataPlan(), rng(), **shares)


def test_a_label_that_is_rare_lands_somewhere() -> None:
    targets = np.zeros(40, dtype=np.int64)
    targets[7] = 2
    data = from_arrays(np.ones((40, 1)), targets)
    parts, aside = split(data, DataPlan(partition="dirichlet", alpha=1e-9, clients=5), rng())
    everywhere = [aside, *(c.train for c in parts), *(c.holdout for c in parts)]
    assert sum(int((p.targets == 2).sum()) for p in everywhere) == 1
