"""Datasets of the data folder: their parsers on a few rows, and the real ones where they are."""

import functools
import gzip
import hashlib
import io
import tarfile
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch

from seepage.core.columns import column_named
from seepage.core.errors import DataError
from seepage.core.plan import DataPlan
from seepage.data.api import load
from seepage.data.cards import STORED
from seepage.data.dataset import Dataset
from seepage.data.sets import stored
from seepage.data.sets.heart_disease import HOSPITALS


def named(name: str, **settings) -> Dataset:
    return load(DataPlan(source=name, **settings), rng=np.random.default_rng(0))


@pytest.fixture
def store(tmp_path, monkeypatch):
    """An empty data folder, and no network."""
    monkeypatch.setenv("SEEPAGE_DATA", str(tmp_path))

    def offline(url, **_):
        raise OSError(f"no route to {url}")

    monkeypatch.setattr(stored.pooch, "retrieve", offline)
    return tmp_path


def feature(data: Dataset, name: str) -> torch.Tensor:
    return data.inputs[:, data.feature_names.index(name)]


@pytest.mark.parametrize("card", STORED, ids=lambda c: c.name)
def test_a_missing_dataset_says_where_to_get_it_and_where_to_put_it(card, store) -> None:
    with pytest.raises(DataError) as raised:
        named(card.name)
    told = str(raised.value)
    assert "\n" not in told
    for part in (card.name, "https://", str(store / card.name), "SEEPAGE_DATA"):
        assert part in told


@pytest.fixture
def server(tmp_path):
    """The address of a server of the files in tmp_path / "public"."""
    (tmp_path / "public").mkdir()
    quiet = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    handler = functools.partial(quiet, directory=str(tmp_path / "public"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_a_fetched_file_must_have_its_checksum(tmp_path, server, monkeypatch) -> None:
    (tmp_path / "public" / "a.csv").write_text("1")
    monkeypatch.setenv("SEEPAGE_DATA", str(tmp_path / "store"))

    def source(sha256: str) -> stored.Stored:
        remote = {"a.csv": stored.Remote(url=f"{server}/a.csv", sha256=sha256)}
        return stored.Stored(name="a", folder="b", origin="https://a", remote=remote)

    with pytest.raises(DataError, match=r"a: no file a\.csv .*does not match the known hash"):
        source("0" * 64).file("a.csv")
    right = hashlib.sha256(b"1").hexdigest()
    assert source(right).file("a.csv").read_text() == "1"
    (tmp_path / "public" / "a.csv").unlink()
    assert source(right).file("a.csv") == tmp_path / "store" / "a" / "a.csv"


HEART = {
    "cleveland": "63.0,1.0,1.0,145.0,233.0,1.0,2.0,150.0,0.0,2.3,3.0,0.0,6.0,0\n"
    "20.0,0.0,4.0,220.0,100.0,0.0,2.0,60.0,1.0,7.0,2.0,?,7.0,2\n",
    "hungarian": "28,1,2,130,132,0,2,185,0,0,,,,0\n",
    "switzerland": "32,1,1,95,0,,0,127,0,.7,1,,,1\n",
    "va": "63,1,4,0,260,0,1,112,1,3,2,?,?,4\n",
}


def test_heart_disease_keeps_what_is_missing_apart(store) -> None:
    (store / "heart-disease").mkdir()
    for hospital in HOSPITALS:
        (store / "heart-disease" / f"processed.{hospital}.data").write_text(HEART[hospital])
    data = named("heart-disease")
    assert data.groups == ("cleveland", "cleveland", "hungarian", "switzerland", "va")
    assert data.targets.tolist() == [0, 1, 0, 1, 1]
    assert feature(data, "chol").tolist() == pytest.approx([-0.468, -1, -0.872, 0, -0.36])
    assert feature(data, "chol=(missing)").tolist() == [0, 0, 0, 1, 0]
    assert feature(data, "trestbps=(missing)").tolist() == [0, 0, 0, 0, 1]
    assert feature(data, "ca=(missing)").tolist() == [0, 1, 1, 1, 1]
    assert feature(data, "thal=?").tolist() == [0, 0, 1, 1, 1]
    assert data.values_of("sex") == ("male", "female", "male", "male", "male")
    assert column_named(data.columns, "sex").sensitive
    assert named("heart-disease", column="sex").groups == data.values_of("sex")
    with pytest.raises(DataError, match="'age' holds numbers, no categories"):
        named("heart-disease", column="age")
    (store / "heart-disease" / "processed.va.data").write_text("63,1,4,high,260,0,1,1,1,3,2,,,4\n")
    with pytest.raises(DataError, match=r"row 5, column 'trestbps' is not a number \(high\)"):
        named("heart-disease")


def test_public_limits_do_not_depend_on_the_other_records(store) -> None:
    folder = store / "heart-disease"
    folder.mkdir()
    for hospital in HOSPITALS:
        (folder / f"processed.{hospital}.data").write_text(HEART[hospital])
    before = {scale: named("heart-disease", scale=scale) for scale in ("auto", "standard")}
    (folder / "processed.va.data").write_text("89,0,1,200,600,1,2,220,1,-3,1,3,3,0\n")
    after = {scale: named("heart-disease", scale=scale) for scale in ("auto", "standard")}
    assert torch.equal(before["auto"].inputs[:4], after["auto"].inputs[:4])
    assert before["auto"].value_range == (-1.0, 1.0)
    # Standardizing by the data's own mean is what leaks, and why it is not the default.
    assert not torch.equal(before["standard"].inputs[:4], after["standard"].inputs[:4])
    assert before["standard"].value_range is None


def test_income_reads_the_files_of_uci_as_they_are(store) -> None:
    row = (
        "39, State-gov, 77516, Bachelors, 13, Never-married, Adm-clerical, Not-in-family, White, "
        "Male, 2174, 0, 40, Cuba, <=50K"
    )
    rich = row.replace("<=50K", ">50K").replace("State-gov", "?").replace("39", "90")
    (store / "income").mkdir()
    (store / "income" / "adult.data").write_text(f"{row}\n{rich}\n\n")
    (store / "income" / "adult.test").write_text(f"|1x3 Cross validator\n{rich}.\n\n")
    data = named("income")
    assert data.targets.tolist() == [0, 1, 1]
    assert data.values_of("workclass") == ("State-gov", "?", "?")
    assert data.values_of("native-country") == ("(other)",) * 3
    assert feature(data, "age").tolist() == pytest.approx([2 * 22 / 73 - 1, 1, 1])
    (store / "income" / "adult.test").write_text(rich.replace(">50K", "50") + "\n")
    with pytest.raises(DataError, match=r"row 3.*column 'income' is '50', none of <=50K, >50K"):
        named("income")


def test_credit_default_is_read_gzipped_or_not(store) -> None:
    names = ["LIMIT_BAL", "SEX", "EDUCATION", "MARRIAGE", "AGE"]
    names += [f"PAY_{m}" for m in (0, 2, 3, 4, 5, 6)]
    names += [f"{kind}_AMT{m}" for kind in ("BILL", "PAY") for m in range(1, 7)]
    text = ",".join([*names, "default payment"]) + "\n"
    text += ",".join(map(str, [1_000_000, 2, 6, 1, 24, 8, *[0] * 5, -500, *[0] * 11, 1])) + "\n"
    text += ",".join(map(str, [10_000, 1, 1, 3, 80, *[-2] * 6, *[2e6] * 12, 0])) + "\n"
    (store / "credit-default").mkdir()
    path = store / "credit-default" / "credit-card-clients.csv.gz"
    path.write_bytes(gzip.compress(text.encode()))
    data = named("credit-default")
    assert data.targets.tolist() == [1, 0]
    assert data.values_of("EDUCATION") == ("other", "graduate school")
    assert feature(data, "LIMIT_BAL").tolist() == pytest.approx([1, -1])
    bill = feature(data, "BILL_AMT1").tolist()
    assert bill == pytest.approx([-np.log1p(500) / np.log1p(1e6), 1])
    path.unlink()
    (store / "credit-default" / "credit-card-clients.csv").write_text(text.replace(",SEX", ",sex"))
    with pytest.raises(DataError, match="has no column 'SEX'"):
        named("credit-default")


STAYS = {
    7: [
        *[("00:00", "Age", 54), ("00:00", "Gender", 0), ("00:00", "Height", -1)],
        *[("00:00", "ICUType", 4), ("00:07", "HR", 80), ("40:00", "HR", 100), ("10:30", "HR", 60)],
        *[("01:00", "pH", 735), ("02:00", "MechVent", 1)],
    ],
    3: [
        *[("00:00", "Age", 90), ("00:00", "Gender", -1), ("00:00", "Height", 170)],
        *[("00:00", "ICUType", 1), ("05:00", "pH", 7.25)],
    ],
}


def stays(store) -> None:
    """Write two stays in both forms: PhysioNet's archive, and one parquet."""
    folder = store / "icu-mortality"
    folder.mkdir()
    (folder / "Outcomes-a.txt").write_text("RecordID,SAPS-I,In-hospital_death\n7,1,1\n3,2,0\n")
    with tarfile.open(folder / "set-a.tar.gz", "w:gz") as archive:
        for number, rows in STAYS.items():
            rows = [("00:00", "RecordID", number), *rows]
            text = "Time,Parameter,Value\n" + "".join(f"{t},{p},{v}\n" for t, p, v in rows)
            entry = tarfile.TarInfo(f"set-a/{number}.txt")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))


def test_icu_stays_become_summaries_of_their_series(store) -> None:
    stays(store)
    data = named("icu-mortality")
    assert data.targets.tolist() == [0, 1]
    assert data.groups == ("coronary", "surgical")
    raw = named("icu-mortality", scale="none")
    rates = {s: feature(raw, f"HR {s}")[1].item() for s in ("first", "last", "low", "high", "mean")}
    assert rates == {"first": 80, "last": 100, "low": 60, "high": 100, "mean": 80}
    assert feature(data, "HR first=(missing)").tolist() == [1, 0]
    assert feature(data, "HR mean").tolist() == pytest.approx([0, 2 * 70 / 290 - 1])
    # A pH of 735 is a slip of the pen, and as good as none.
    assert feature(data, "pH first=(missing)").tolist() == [0, 1]
    assert feature(data, "Height=(missing)").tolist() == [0, 1]
    assert data.values_of("Gender") == ("?", "female")
    assert data.values_of("MechVent") == ("no", "yes")
    folder = store / "icu-mortality"
    (folder / "Outcomes-a.txt").write_text("RecordID,In-hospital_death\n7,1\n")
    with pytest.raises(DataError, match="patient 3 has no outcome"):
        named("icu-mortality")


def test_icu_stays_are_the_same_in_parquet(store) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="needs the extra parquet")
    from pyarrow import parquet

    stays(store)
    packed = named("icu-mortality")
    rows = [(n, t, p, v) for n, found in STAYS.items() for t, p, v in found]
    number, time, parameter, value = zip(*rows, strict=True)
    minute = [60 * int(t[:2]) + int(t[3:]) for t in time]
    columns = {"record_id": number, "minute": minute, "parameter": parameter}
    table = pyarrow.table({**columns, "value": np.array(value, dtype=np.float32)})
    parquet.write_table(table, store / "icu-mortality" / "set_a.parquet")
    (store / "icu-mortality" / "set-a.tar.gz").unlink()
    assert torch.allclose(named("icu-mortality").inputs, packed.inputs, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "rows", "positive", "groups"),
    [
        ("heart-disease", 920, 509, 4),
        ("icu-mortality", 4000, 554, 4),
        ("credit-default", 30000, 6636, 0),
        ("income", 48842, 11687, 0),
        ("pneumonia", 5030, 4273, 0),
    ],
)
def test_the_real_ones_have_the_published_counts(
    name, rows, positive, groups, data_folder, monkeypatch
) -> None:
    monkeypatch.setenv("SEEPAGE_DATA", str(data_folder))
    if name == "icu-mortality":
        pytest.importorskip("pyarrow", reason="needs the extra parquet")
    data = named(name)
    assert (len(data), int(data.targets.sum())) == (rows, positive)
    assert len(set(data.groups or ())) == groups
    low, high = data.value_range or (0, 0)
    assert low <= data.inputs.min() <= data.inputs.max() <= high
    for column in data.columns:
        block = data.inputs[:, column.features]
        if column.categories:
            assert torch.equal(block.sum(1), torch.ones(rows)), column.name


def test_cifar10_and_fashion_mnist_load_by_name(data_folder, monkeypatch) -> None:
    monkeypatch.setenv("SEEPAGE_DATA", str(data_folder))
    photographs = named("cifar10", limit=500)
    assert photographs.inputs.shape == (500, 3, 32, 32)
    assert photographs.classes == 10
    clothes = named("fashion-mnist", limit=500)
    assert clothes.inputs.shape == (500, 1, 28, 28)
