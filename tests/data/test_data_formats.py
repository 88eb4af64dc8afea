"""Parquet tables, and folders of images."""

import builtins
import datetime
import zipfile
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seepage.core.columns import TableColumn
from seepage.core.errors import DataError, MissingExtraError
from seepage.core.plan import DataPlan
from seepage.data.api import load
from seepage.data.dataset import Dataset


def read(folder: Path, source: str, **settings) -> Dataset:
    return load(DataPlan(source=source, **settings), base=folder, rng=np.random.default_rng(0))


def parquet(folder: Path, **columns) -> str:
    pyarrow = pytest.importorskip("pyarrow", reason="needs the extra parquet")
    from pyarrow import parquet as files

    files.write_table(pyarrow.table(columns), folder / "a.parquet")
    return "a.parquet"


def test_parquet_is_the_table_that_csv_is(tmp_path) -> None:
    ages, cities, sick = [30, 41, 52, 60], ["Rome", "Oslo", "Rome", "Bonn"], ["y", "n", "n", "y"]
    smokes, ward = [True, False, True, True], ["n", "s", "n", "s"]
    source = parquet(tmp_path, age=ages, city=cities, smokes=smokes, ward=ward, sick=sick)
    rows = zip(ages, cities, map(int, smokes), ward, sick, strict=True)
    lines = ["age,city,smokes,ward,sick", *(",".join(map(str, row)) for row in rows)]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    ours, text = (read(tmp_path, name, column="ward") for name in (source, "a.csv"))
    assert ours.fingerprint == text.fingerprint
    assert ours.groups == tuple(ward)
    assert ours.columns == text.columns
    assert ours.columns[1] == TableColumn(
        name="city", first=1, width=3, categories=("Bonn", "Oslo", "Rome")
    )
    assert ours.feature_names == ("age", "city=Bonn", "city=Oslo", "city=Rome", "smokes")
    assert list(ours.values_of("city")) == cities


def test_parquet_keeps_every_digit(tmp_path) -> None:
    values = [0.1, 1e-30, 123456.7, -2.5]
    dear = [Decimal("1.50"), Decimal("2.25"), Decimal("3.00"), Decimal("4.75")]
    source = parquet(tmp_path, a=values, b=dear, y=[0.5, 1.5, 2.5, 3.5])
    data = read(tmp_path, source, scale="none")
    assert data.inputs[:, 0].tolist() == np.array(values, dtype=np.float32).tolist()
    assert data.inputs[:, 1].tolist() == [1.5, 2.25, 3.0, 4.75]
    assert data.classes == 0


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([1.0, None, 3.0], r"a\.parquet: row 2, column 'x' is not a number \(empty\)"),
        ([1.0, float("nan"), 3.0], r"row 2, column 'x' is not a number \(nan\)"),
        ([[1], [2], [3]], r"column 'x' is of type list<.*>; drop it"),
        ([datetime.date(2020, 1, 1)] * 3, r"column 'x' is of type date32"),
    ],
)
def test_parquet_names_the_cell_that_can_not_be_used(tmp_path, column, message) -> None:
    source = parquet(tmp_path, x=column, y=[0, 1, 0])
    with pytest.raises(DataError, match=message):
        read(tmp_path, source)


def test_parquet_that_is_damaged_or_empty(tmp_path) -> None:
    source = parquet(tmp_path, x=[1.0, 2.0], y=[0, 1])
    content = (tmp_path / source).read_bytes()
    (tmp_path / "b.parquet").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"b\.parquet: can't be read as parquet"):
        read(tmp_path, "b.parquet")
    with pytest.raises(DataError, match=r"a\.parquet: has no rows"):
        read(tmp_path, parquet(tmp_path, x=np.zeros(0), y=np.zeros(0)))


def test_parquet_without_its_extra_says_which(tmp_path, monkeypatch) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    real = builtins.__import__

    def without(name, *rest, **more):
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"a\.parquet.*pip install 'seepage\[parquet\]'"):
        read(tmp_path, "a.parquet")


def faces(folder: Path, shape: tuple[int, ...] = (5, 4, 3)) -> np.ndarray:
    """Write two classes of three pictures each and return them, class by class."""
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, *shape), dtype=np.uint8)
    for label, name in enumerate(("cat", "dog")):
        (folder / name).mkdir(parents=True)
        for i in range(3):
            Image.fromarray(pixels[label, i]).save(folder / name / f"{i}.png")
    return pixels


def test_a_folder_of_images_is_labeled_by_its_subfolders(tmp_path) -> None:
    pixels = faces(tmp_path / "faces")
    (tmp_path / "faces" / "cat" / "notes.txt").write_text("not a picture")
    (tmp_path / "faces" / ".trash").mkdir()
    data = read(tmp_path, "faces")
    assert data.targets.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.value_range == (0.0, 1.0)
    wanted = np.moveaxis(pixels.reshape(6, 5, 4, 3), 3, 1) / np.float32(255)
    assert np.array_equal(data.inputs.numpy(), wanted)


def test_gray_images_have_one_channel_and_mixed_ones_three(tmp_path) -> None:
    pixels = faces(tmp_path / "faces", (5, 4))
    assert np.array_equal(read(tmp_path, "faces", scale="none").inputs[4, 0], pixels[1, 1])
    Image.new("RGB", (4, 5)).save(tmp_path / "faces" / "cat" / "3.jpg")
    assert read(tmp_path, "faces").inputs.shape == (7, 3, 5, 4)


def test_a_zip_holds_a_folder_of_images(tmp_path) -> None:
    faces(tmp_path / "faces")
    with zipfile.ZipFile(tmp_path / "faces.zip", "w") as archive:
        for file in (tmp_path / "faces").rglob("*.png"):
            archive.write(file, f"train/{file.relative_to(tmp_path / 'faces')}")
    packed = read(tmp_path, "faces.zip", inputs="train")
    assert packed.fingerprint == read(tmp_path, "faces").fingerprint
    with pytest.raises(DataError, match=r"faces\.zip: has no folder 'test'; it holds train"):
        read(tmp_path, "faces.zip", inputs="test")
    with pytest.raises(DataError, match=r"holds 1 subfolders .* it holds train"):
        read(tmp_path, "faces.zip")


def test_images_that_can_not_be_used_are_named(tmp_path) -> None:
    folder = tmp_path / "faces"
    faces(folder)
    (folder / "bird").mkdir()
    with pytest.raises(DataError, match="faces: the class 'bird' has no images"):
        read(tmp_path, "faces")
    for name, content, message in (
        ("a.png", b"no picture", "faces: bird/a.png can't be read as PNG or JPEG"),
        ("a.jpg", (folder / "cat" / "0.png").read_bytes()[:40], "bird/a.jpg can't be read"),
    ):
        (folder / "bird" / name).write_bytes(content)
        with pytest.raises(DataError, match=message):
            read(tmp_path, "faces")
        (folder / "bird" / name).unlink()
    Image.new("RGB", (9, 9)).save(folder / "dog" / "3.png")
    (folder / "bird").rmdir()
    with pytest.raises(DataError, match=r"dog/3\.png is 9 x 9 where the first image is 4 x 5"):
        read(tmp_path, "faces")
    Image.fromarray(np.zeros((5, 4), dtype=np.uint16)).save(folder / "dog" / "3.png")
    with pytest.raises(DataError, match=r"dog/3\.png has pixels of kind I;16"):
        read(tmp_path, "faces")
    (tmp_path / "b.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"b\.zip: can't be read as a zip of images"):
        read(tmp_path, "b.zip")
