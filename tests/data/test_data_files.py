import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_wine

from seepage.core.errors import DataError
from seepage.core.plan import DataPlan
from seepage.data.api import load
from seepage.data.dataset import Dataset


def read(folder: Path, source: str, **settings) -> Dataset:
    return load(DataPlan(source=source, **settings), base=folder, rng=np.random.default_rng(0))


def table(folder: Path, text: str, **settings) -> Dataset:
    (folder / "patients.csv").write_text(text)
    return read(folder, "patients.csv", **settings)


def test_npz_takes_the_usual_keys_and_shapes(tmp_path) -> None:
    rng = np.random.default_rng(0)
    color = rng.integers(0, 256, (6, 9, 8, 3), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", train_images=color, train_labels=np.arange(6)[:, None] % 2)
    data = read(tmp_path, "a.npz")
    assert data.inputs.shape == (6, 3, 9, 8)
    assert data.inputs[2, 1, 4, 7].item() == pytest.approx(color[2, 4, 7, 1] / 255)
    assert data.targets.tolist() == [0, 1] * 3
    np.savez(tmp_path / "b.npz", x=color[..., 0], y=np.arange(6), site=list("aabbcc"))
    data = read(tmp_path, "b.npz", column="site")
    assert data.inputs.shape == (6, 1, 9, 8)
    assert data.groups == tuple("aabbcc")


def test_npz_names_the_keys_that_are_there(tmp_path) -> None:
    np.savez(tmp_path / "a.npz", pictures=np.zeros((2, 2)), answers=np.arange(2))
    with pytest.raises(DataError, match=r"among its keys answers, pictures; set data\.inputs"):
        read(tmp_path, "a.npz")
    with pytest.raises(DataError, match="has no key 'picture'; did you mean 'pictures'"):
        read(tmp_path, "a.npz", inputs="picture", targets="answers")
    assert len(read(tmp_path, "a.npz", inputs="pictures", targets="answers")) == 2


def test_npz_never_unpickles(tmp_path) -> None:
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    np.savez(tmp_path / "a.npz", x=np.array([Trap()], dtype=object), y=np.arange(1))
    np.array([Trap()], dtype=object).dump(tmp_path / "b.npz")
    for name in ("a.npz", "b.npz"):
        with pytest.raises(DataError, match=r"pickled objects, which could run code"):
            read(tmp_path, name)
    assert not (tmp_path / "ran").exists()


def test_npz_that_is_damaged(tmp_path) -> None:
    np.savez(tmp_path / "a.npz", x=np.ones((50, 9)), y=np.arange(50))
    content = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "b.npz").write_bytes(content[: len(content) // 2])
    (tmp_path / "c.npz").write_bytes(b"")
    np.save(tmp_path / "d.npy", np.ones(3))
    (tmp_path / "d.npy").rename(tmp_path / "d.npz")
    for name in ("b.npz", "c.npz", "d.npz"):
        with pytest.raises(DataError, match=name):
            read(tmp_path, name)


def test_npz_labels_out_of_range(tmp_path) -> None:
    np.savez(tmp_path / "a.npz", x=np.ones((3, 2)), y=np.array([1, 0, -1]))
    with pytest.raises(DataError, match=r"a\.npz: row 2 has the label -1, outside 0\.\.1"):
        read(tmp_path, "a.npz")


PATIENTS = """age,city,hospital,sick
30,Rome,north,yes
40,Oslo,south,no

50,Rome,north,no
"""


def test_csv_encodes_numbers_texts_labels_and_groups(tmp_path) -> None:
    data = table(tmp_path, PATIENTS, column="hospital")
    assert data.feature_names == ("age", "city=Oslo", "city=Rome")
    step = 1.5**0.5
    assert data.inputs.tolist() == [
        pytest.approx(row) for row in ([-step, 0, 1], [0, 1, 0], [step, 0, 1])
    ]
    assert data.targets.tolist() == [1, 0, 0]
    assert (data.classes, data.groups) == (2, ("north", "south", "north"))


@pytest.mark.parametrize(
    ("scale", "column", "value_range"),
    [("unit", [0, 0.5, 1], (0.0, 1.0)), ("none", [30, 40, 50], None)],
)
def test_csv_scales(tmp_path, scale, column, value_range) -> None:
    data = table(tmp_path, PATIENTS, scale=scale)
    assert data.inputs[:, 0].tolist() == column
    assert data.value_range == value_range


def test_csv_targets(tmp_path) -> None:
    gaps = table(tmp_path, "a,b\n1,7\n2,0\n3,7\n4,-2\n")
    assert (gaps.targets.tolist(), gaps.classes) == ([2, 1, 2, 0], 3)
    first = table(tmp_path, PATIENTS, targets="city", column="hospital")
    assert (first.targets.tolist(), first.classes) == ([1, 0, 1], 2)
    values = "a,b\n" + "".join(f"{i % 3},{i * i / 7}\n" for i in range(30))
    regression = table(tmp_path, values, scale="none")
    assert regression.classes == 0
    assert regression.targets.tolist() == pytest.approx([i * i / 7 for i in range(30)])
    assert table(tmp_path, values).targets.std(correction=0).item() == pytest.approx(1)
    counts = table(tmp_path, "a,b\n" + "".join(f"{i % 3},{i}\n" for i in range(30)))
    assert counts.classes == 0


def test_csv_matches_the_source_it_was_written_from(tmp_path) -> None:
    wine = load_wine()
    cells = np.column_stack([wine["data"], wine["target"]]).tolist()
    rows = [",".join(map(repr, row)) for row in cells]
    header = ",".join([*wine["feature_names"], "cultivar"])
    with gzip.open(tmp_path / "wine.csv.gz", "wt") as file:
        file.write("\n".join([header, *rows]))
    written, bundled = read(tmp_path, "wine.csv.gz"), read(tmp_path, "wine")
    assert written.fingerprint == bundled.fingerprint
    assert written.feature_names == bundled.feature_names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("age,y\n1,0\n2,1\nnan,0\n", r"row 3 \(line 4\), column 'age' is not a number \(nan\)"),
        ("age,y\n1,0\n\n,1\n3,0\n", r"row 2 \(line 4\), column 'age' is not a number \(empty\)"),
        ("age,y\n1,0\n2,1\n-inf,0\n", r"column 'age' is not a number \(-inf\)"),
        ("age,y\n1,0\n2,1\n1_0,0\n", r"column 'age' is not a number \(1_0\)"),
        ("age,y\n1,0\n?,1\n", r"column 'age' is not a number \(\?\)"),
        ("age,y\n1,0\n2,\n", r"row 2 \(line 3\), column 'y' is not a number \(empty\)"),
        ("age,y\n1,a\n2,\n", r"row 2 \(line 3\), column 'y' is empty"),
        ("age,y\n1,0\n2\n", r"row 2 \(line 3\) has 1 cells where the header has 2"),
        ("1,2\n1,0\n", "the first line holds numbers"),
        ("a,a\n1,0\n", "two columns are called 'a'"),
        ("a,\n1,0\n", "column 2 has no name"),
        ("a;b\n1;0\n", "separated by ';'; save it with commas"),
        ("a,b\n", "no rows below its header"),
        ("", "is empty"),
        ("a\n1\n", "needs a feature column and a target column"),
        ("a,y\n1,0\n2,0\n", "1 class leaves nothing to learn"),
        (
            "a,y\n" + "".join(f"t{i},{i % 2}\n" for i in range(201)),
            "column 'a' holds 201 different texts",
        ),
        ("a,y\n" + "".join(f"{i},t{i}\n" for i in range(21)), "which are no labels"),
    ],
)
def test_csv_that_can_not_be_trained_on(tmp_path, text, message) -> None:
    with pytest.raises(DataError, match=rf"patients\.csv: .*{message}"):
        table(tmp_path, text)


def test_csv_columns_that_are_not_there(tmp_path) -> None:
    with pytest.raises(DataError, match="has no column 'sik'; did you mean 'sick'"):
        table(tmp_path, PATIENTS, targets="sik")
    with pytest.raises(DataError, match="both target and client"):
        table(tmp_path, PATIENTS, targets="city", column="city")
    (tmp_path / "latin.csv").write_bytes("a,b\né,1\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"latin\.csv: can't be read as UTF-8"):
        read(tmp_path, "latin.csv")


def idx(kind: int, shape: tuple[int, ...], content: bytes) -> bytes:
    return bytes([0, 0, kind, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + content


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_images_with_their_labels(tmp_path, suffix) -> None:
    pack = gzip.compress if suffix else bytes
    images, labels = f"train-images-idx3-ubyte{suffix}", f"train-labels-idx1-ubyte{suffix}"
    (tmp_path / images).write_bytes(pack(idx(8, (2, 3, 2), bytes(range(0, 240, 20)))))
    (tmp_path / labels).write_bytes(pack(idx(8, (2,), b"\1\0")))
    data = read(tmp_path, images)
    assert data.inputs.shape == (2, 1, 3, 2)
    assert data.inputs[1, 0, 2, 1].item() == pytest.approx(220 / 255)
    assert data.targets.tolist() == [1, 0]
    (tmp_path / labels).rename(tmp_path / "answers.bin")
    with pytest.raises(DataError, match=r"set data\.targets to the IDX file"):
        read(tmp_path, images)
    if not suffix:
        assert read(tmp_path, images, targets="answers.bin").targets.tolist() == [1, 0]


def test_idx_of_big_endian_floats_is_known_by_its_first_bytes(tmp_path) -> None:
    (tmp_path / "pictures").write_bytes(idx(0x0D, (1, 1, 2), struct.pack(">2f", 0.25, 1.5)))
    (tmp_path / "answers").write_bytes(idx(0x0C, (1,), struct.pack(">i", 1)))
    data = read(tmp_path, "pictures", targets="answers")
    assert data.inputs.ravel().tolist() == [0.25, 1.5]
    assert (data.classes, data.value_range) == (2, None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            idx(8, (2, 2, 2), bytes(7)),
            r"its header says 2 x 2 x 2 values \(8 bytes\) but 7 bytes follow",
        ),
        (idx(8, (2, 2, 2), bytes(9)), r"its header says .* but more follow"),
        (idx(8, (2, 2, 2), b"")[:10], "is cut off in its header"),
        (b"\0\0\x07\3" + bytes(20), "is no IDX file"),
        (b"", r"is no IDX file \(it begins with nothing\)"),
        (idx(8, (2,), bytes(2)), "holds labels, no images"),
    ],
)
def test_idx_that_is_damaged(tmp_path, content, message) -> None:
    (tmp_path / "images-idx3-ubyte").write_bytes(content)
    (tmp_path / "labels").write_bytes(idx(8, (2,), b"\0\1"))
    with pytest.raises(DataError, match=f"images-idx3-ubyte: {message}"):
        read(tmp_path, "images-idx3-ubyte", targets="labels")


def test_gzip_that_is_cut_off(tmp_path) -> None:
    whole = gzip.compress(idx(8, (200, 5, 5), np.random.default_rng(0).bytes(5000)))
    (tmp_path / "images-idx3-ubyte.gz").write_bytes(whole[:2000])
    (tmp_path / "labels").write_bytes(idx(8, (200,), bytes(200)))
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(PATIENTS.encode())[:30])
    with pytest.raises(DataError, match="can't be read as IDX"):
        read(tmp_path, "images-idx3-ubyte.gz", targets="labels")
    with pytest.raises(DataError, match=r"a\.csv\.gz: can't be read"):
        read(tmp_path, "a.csv.gz")


def test_real_images(data_folder) -> None:
    fashion = read(data_folder, "images/fashion_mnist/fashion_mnist_30k_10k.npz", limit=2000)
    assert fashion.inputs.shape == (2000, 1, 28, 28)
    assert (fashion.classes, fashion.value_range) == (10, (0.0, 1.0))
    assert fashion.inputs.max() == 1
    chest = read(data_folder, "medical_images/pneumoniamnist/pneumoniamnist.npz")
    assert chest.inputs.shape == (3882, 1, 28, 28)
    assert chest.targets.bincount().tolist() == [388, 3494]


def test_real_tables(data_folder) -> None:
    credit = read(data_folder, "finance/credit_default_taiwan/credit-card-clients.csv.gz")
    assert credit.inputs.shape == (30000, 23)
    assert credit.targets.bincount().tolist() == [23364, 6636]
    assert credit.inputs.mean(0).abs().max() < 1e-4
    adult = read(data_folder, "finance/adult_income/adult_test.csv.gz", column="sex")
    assert adult.targets.bincount().tolist() == [12435, 3846]
    assert set(adult.groups or ()) == {"Male", "Female"}
    assert "workclass=Private" in adult.feature_names
    assert not any(name.startswith("sex") for name in adult.feature_names)
