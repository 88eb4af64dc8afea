import inspect
import subprocess
import sys
import types

import numpy as np
import pytest
import torch
from sklearn import datasets as sklearn_datasets

from seepage.core.errors import DataError
from seepage.core.plan import DataPlan
from seepage.data.api import from_arrays, load
from seepage.data.cards import BUNDLED
from seepage.data.dataset import Dataset


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("card", BUNDLED, ids=lambda c: c.name)
def test_cards_match_their_functions_and_load_plausible_data(card) -> None:
    arguments = inspect.signature(card.load()).parameters.values()
    assert [(p.name, p.default) for p in card.parameters] == [
        (a.name, a.default) for a in arguments
    ]
    assert card.reference
    assert card.year
    data = load(DataPlan(source=card.name), rng=rng())
    assert data.name == card.name
    assert f"{len(data):,} " in card.summary
    assert data.classes == (0 if card.name == "diabetes" else len(data.targets.unique()))
    if data.inputs.ndim == 2:
        assert len(data.feature_names) == data.inputs.shape[1]
        assert data.inputs.mean(0).abs().max() < 1e-5
        assert (data.inputs.std(0, correction=0) - 1).abs().max() < 1e-5


def test_cards_need_no_torch() -> None:
    code = (
        "import sys, seepage.data.cards as c; sys.exit(bool({'torch','numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_digits_are_the_images_of_the_source() -> None:
    data = load(DataPlan(source="digits"), rng=rng())
    raw = sklearn_datasets.load_digits()
    assert data.inputs.shape == (1797, 1, 8, 8)
    assert data.value_range == (0.0, 1.0)
    assert np.array_equal(data.inputs.numpy()[:, 0] * 16, raw["images"])
    plain = load(DataPlan(source="digits", scale="none"), rng=rng())
    assert plain.value_range == (0.0, 16.0)
    standard = load(DataPlan(source="digits", scale="standard"), rng=rng())
    assert standard.value_range == pytest.approx(
        (standard.inputs.min().item(), standard.inputs.max().item())
    )


def test_limit_draws_rows_by_the_generator() -> None:
    plan = DataPlan(source="digits", limit=50)
    first, again, other = (load(plan, rng=rng(s)) for s in (1, 1, 2))
    assert len(first) == 50
    assert first.classes == 10
    assert first.fingerprint == again.fingerprint != other.fingerprint
    whole = load(DataPlan(source="digits", limit=5000), rng=rng())
    assert len(whole) == 1797
    pool = {bytes(x.numpy()) for x in whole.inputs}
    assert all(bytes(x.numpy()) in pool for x in first.inputs)
    with pytest.raises(DataError, match=r"limit is -1"):
        load(DataPlan(limit=-1), rng=rng())


def test_a_missing_dataset_says_what_was_tried(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SEEPAGE_DATA", str(tmp_path / "store"))
    with pytest.raises(DataError) as raised:
        load(DataPlan(source="digit"), base=tmp_path, rng=rng())
    for part in (f"{tmp_path}/digit", f"{tmp_path}/store/digit", "SEEPAGE_DATA", "mean 'digits'"):
        assert part in str(raised.value)


def test_files_are_found_beside_the_plan_before_the_data_folder(tmp_path, monkeypatch) -> None:
    plans, store = tmp_path / "plans", tmp_path / "store"
    monkeypatch.setenv("SEEPAGE_DATA", str(store))
    for folder, rows in ((store, 5), (plans, 3)):
        folder.mkdir()
        np.savez(folder / "a.npz", x=np.zeros((rows, 2)), y=np.arange(rows) % 2)
    plan = DataPlan(source="a.npz")
    assert len(load(plan, base=plans, rng=rng())) == 3
    assert len(load(plan, base=tmp_path, rng=rng())) == 5
    assert len(load(DataPlan(source=str(store / "a.npz")), base=plans, rng=rng())) == 5


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (DataPlan(source="digits", column="age"), "data.column = 'age' means nothing for digits"),
        (DataPlan(source="wine", scale="units"), "did you mean 'unit'"),
        (DataPlan(source="notes.txt"), "notes.txt: unknown format"),
    ],
)
def test_plans_that_make_no_sense(tmp_path, plan, message) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(DataError, match=message):
        load(plan, base=tmp_path, rng=rng())


@pytest.fixture
def mine(monkeypatch):
    module = types.ModuleType("mine")
    module.pair = lambda: (np.full((4, 2), 255, dtype=np.uint8), [0, 1, 2, 0])
    module.whole = lambda: from_arrays(np.ones((2, 3)), np.array([0.5, 1.5]), name="whole")
    module.broken = lambda: 1 / 0
    module.wrong = lambda: 3
    monkeypatch.setitem(sys.modules, "mine", module)


def test_a_users_function_gives_data(mine) -> None:
    pair = load(DataPlan(source="mine:pair"), rng=rng())
    assert pair.inputs.max() == 1
    assert pair.classes == 3
    assert load(DataPlan(source="mine:pair", scale="none"), rng=rng()).inputs.max() == 255
    assert load(DataPlan(source="mine:whole"), rng=rng()).classes == 0
    with pytest.raises(DataError, match="mine:broken gives no data: ZeroDivisionError"):
        load(DataPlan(source="mine:broken"), rng=rng())
    with pytest.raises(DataError, match="mine:wrong returned int"):
        load(DataPlan(source="mine:wrong"), rng=rng())
    with pytest.raises(DataError, match="nowhere_at_all:f gives no data: ModuleNotFound"):
        load(DataPlan(source="nowhere_at_all:f"), rng=rng())


def test_from_arrays_keeps_values_and_makes_types_plain() -> None:
    bytes_ = from_arrays(np.array([[0, 51, 255]] * 2, dtype=np.uint8), [0, 1])
    assert bytes_.inputs[0].tolist() == pytest.approx([0, 0.2, 1])
    assert bytes_.value_range == (0.0, 1.0)
    doubles = from_arrays(torch.tensor([[2.0], [-1.0]], dtype=torch.float64), torch.tensor([3, 1]))
    assert doubles.inputs.dtype == torch.float32
    assert doubles.inputs.ravel().tolist() == [2, -1]
    assert (doubles.value_range, doubles.classes) == (None, 4)
    values = from_arrays(torch.rand(3, 2).bfloat16(), np.array([[0.1], [2.0], [3.0]]))
    assert (values.value_range, values.classes) == ((0.0, 1.0), 0)
    assert values.targets.shape == (3,)
    assert from_arrays(np.ones((2, 1)), np.array([0.0, 1.0]), classes=2).targets.tolist() == [0, 1]
    assert from_arrays(np.ones((2, 1)), np.array([0, 7]), classes=0).targets.tolist() == [0, 7]


def test_a_dataset_does_not_follow_later_changes_of_the_users_array() -> None:
    inputs, targets = torch.zeros(2, 2), torch.tensor([0, 1])
    data = from_arrays(inputs, targets)
    inputs.fill_(9)
    targets.fill_(0)
    assert not data.inputs.any()
    assert data.targets.tolist() == [0, 1]


ONES = np.ones((3, 2))


@pytest.mark.parametrize(
    ("inputs", "targets", "classes", "message"),
    [
        (ONES, [0, -1, 1], None, r"row 1 has the label -1, outside 0\.\.1"),
        (ONES, [-3, -1, -2], None, "row 0 has the label -3"),
        (ONES, [0, 5, 1], 3, r"row 1 has the label 5, outside 0\.\.2"),
        (ONES, [0.0, 0.5, 1.0], 2, "row 1 has the label 0.5; labels are whole"),
        (ONES, [0, 0, 0], None, "1 class leaves nothing to learn"),
        (ONES, [0, 10**9, 1], None, "integer targets reach 1000000000 in 3 rows"),
        (ONES, [0, 1], None, "3 inputs, 2 targets"),
        (ONES, np.eye(3), None, r"targets are \(3, 3\)"),
        (ONES, ["a", "b", "c"], None, "targets are of type <U1; give numbers"),
        (np.array([[0, 1], [2, np.nan], [np.inf, 1]]), [0, 1, 0], None, r"row 1 is not a number"),
        (ONES * 1e300, [0, 1, 0], None, r"row 0 is not finite \(inf\) at inputs\[0, 0\]"),
        (ONES, [0.0, 1.5, np.inf], None, r"row 2 is not finite \(inf\) at targets\[2\]"),
        (np.ones((0, 2)), [], None, "give at least one row"),
        (np.ones(3), [0, 1, 0], None, "give at least one row"),
        ([[1, 2], [3]], [0, 1], None, "inputs are no array"),
    ],
)
def test_what_can_not_be_trained_on_is_named(inputs, targets, classes, message) -> None:
    with pytest.raises(DataError, match=f"data: .*{message}"):
        from_arrays(inputs, np.asarray(targets), classes=classes)


def test_named_columns_are_named() -> None:
    with pytest.raises(DataError, match=r"p: row 1, column 'age' is not a number \(nan\)"):
        Dataset(
            name="p",
            inputs=torch.tensor([[1.0, 2.0], [3.0, float("nan")]]),
            targets=torch.tensor([0, 1]),
            classes=2,
            feature_names=("height", "age"),
        )


def test_the_fingerprint_follows_every_part() -> None:
    def made(inputs, targets=(0, 1), groups=None):
        values = torch.tensor(inputs)
        return Dataset(
            name="x", inputs=values, targets=torch.tensor(targets), classes=2, groups=groups
        ).fingerprint

    base = made([[1.0, 2.0], [3.0, 4.0]])
    assert base == made([[1.0, 2.0], [3.0, 4.0]])
    others = [
        made([[1.0, 2.0], [3.0, 5.0]]),
        made([[1.0, 2.0], [3.0, 4.0]], targets=(1, 0)),
        made([[[1.0], [2.0]], [[3.0], [4.0]]]),
        made([[1.0, 2.0], [3.0, 4.0]], groups=("ab", "c")),
        made([[1.0, 2.0], [3.0, 4.0]], groups=("a", "bc")),
    ]
    assert len({base, *others}) == 6
