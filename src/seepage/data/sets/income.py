"""Adults of the 1994 census of the United States, who earn more than 50,000 dollars or not."""

from __future__ import annotations

from ..columns import Column
from ..csv import read_columns
from ..dataset import Dataset
from .labeled import labeled
from .ranges import Field, Listed, Ranged
from .stored import Remote, Stored

_UCI = "https://archive.ics.uci.edu/ml/machine-learning-databases/adult/"

FILES = Stored(
    name="income",
    folder="finance/adult_income",
    origin="https://archive.ics.uci.edu/dataset/2/adult (adult.data and adult.test)",
    remote={
        "adult.data": Remote(
            url=f"{_UCI}adult.data",
            sha256="5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d",
        ),
        "adult.test": Remote(
            url=f"{_UCI}adult.test",
            sha256="a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05",
        ),
    },
)

NAMES = (
    "age",
    "workclass",
    "fnlwgt",
    "education",
    "education-num",
    "marital-status",
    "occupation",
    "relationship",
    "race",
    "sex",
    "capital-gain",
    "capital-loss",
    "hours-per-week",
    "native-country",
    "income",
)

FIELDS: tuple[Field, ...] = (
    Ranged(name="age", low=17, high=90, sensitive=True),
    Listed(
        name="workclass",
        codes=(
            "Private",
            "Self-emp-not-inc",
            "Self-emp-inc",
            "Federal-gov",
            "Local-gov",
            "State-gov",
            "Without-pay",
            "Never-worked",
            "?",
        ),
    ),
    Listed(
        name="education",
        codes=(
            *("Bachelors", "Some-college", "11th", "HS-grad", "Prof-school", "Assoc-acdm"),
            *("Assoc-voc", "9th", "7th-8th", "12th", "Masters", "1st-4th", "10th"),
            *("Doctorate", "5th-6th", "Preschool"),
        ),
        sensitive=True,
    ),
    Listed(
        name="marital-status",
        codes=(
            *("Married-civ-spouse", "Divorced", "Never-married", "Separated", "Widowed"),
            *("Married-spouse-absent", "Married-AF-spouse"),
        ),
        sensitive=True,
    ),
    Listed(
        name="occupation",
        codes=(
            *("Tech-support", "Craft-repair", "Other-service", "Sales", "Exec-managerial"),
            *("Prof-specialty", "Handlers-cleaners", "Machine-op-inspct", "Adm-clerical"),
            *("Farming-fishing", "Transport-moving", "Priv-house-serv", "Protective-serv"),
            *("Armed-Forces", "?"),
        ),
    ),
    Listed(
        name="relationship",
        codes=("Wife", "Own-child", "Husband", "Not-in-family", "Other-relative", "Unmarried"),
    ),
    Listed(
        name="race",
        codes=("White", "Asian-Pac-Islander", "Amer-Indian-Eskimo", "Black", "Other"),
        sensitive=True,
    ),
    Listed(name="sex", codes=("Female", "Male"), sensitive=True),
    Ranged(name="capital-gain", low=0, high=100_000, log=True),
    Ranged(name="capital-loss", low=0, high=5_000, log=True),
    Ranged(name="hours-per-week", low=0, high=99),
    Listed(
        name="native-country",
        codes=("United-States", "Mexico", "?", "(other)"),
        sensitive=True,
    ),
)
"""The columns of the census form and its lists of answers.

Left out are fnlwgt, a weight of the survey, and education-num, which says education again;
countries but the two most populous of the form's list are one category.
"""


def income(scale: str = "auto") -> Dataset:
    """Return 48,842 adults, `[n, d]`, training file first; 1 is more than 50,000 dollars."""
    files = (FILES.file("adult_train.csv.gz", "adult.data"),)
    files += (FILES.file("adult_test.csv.gz", "adult.test"),)
    tables = [read_columns(path, NAMES) for path in files]
    joined = {
        name: Column(table="income", name=name, cells=[c for t in tables for c in t[name].cells])
        for name in NAMES
    }
    # UCI's test file ends each label with a full stop.
    joined["income"].cells[:] = [cell.removesuffix(".") for cell in joined["income"].cells]
    return labeled("income", joined, FIELDS, ("income", ("<=50K", ">50K")), scale)
