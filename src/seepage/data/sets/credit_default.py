"""Card holders in Taiwan, 2005, who default the next month or not (Yeh and Lien 2009)."""

from __future__ import annotations

from ..csv import read_columns
from ..dataset import Dataset
from .labeled import labeled
from .ranges import Field, Listed, Ranged
from .stored import Remote, Stored

FILES = Stored(
    name="credit-default",
    folder="finance/credit_default_taiwan",
    origin="https://archive.ics.uci.edu/dataset/350 (its sheet, saved as credit-card-clients.csv)",
    remote={
        "credit-card-clients.csv": Remote(
            url="https://raw.githubusercontent.com/tailequy/fairness_dataset/"
            "abb5a18b822ba56a221c5311082e192e85000b95/experiments/data/credit-card-clients.csv",
            sha256="7cfc3bb35b6986be40cccb5d490806f082b46f93afafdce27fd7f409eb5abb02",
        )
    },
)

FIELDS: tuple[Field, ...] = (
    Ranged(name="LIMIT_BAL", low=10_000, high=1_000_000, log=True),
    Listed(name="SEX", codes=("1", "2"), names=("male", "female"), sensitive=True),
    Listed(
        name="EDUCATION",
        codes=("1", "2", "3", "4"),
        names=("graduate school", "university", "high school", "other"),
        sensitive=True,
    ),
    Listed(
        name="MARRIAGE", codes=("1", "2", "3"), names=("married", "single", "other"), sensitive=True
    ),
    Ranged(name="AGE", low=18, high=80, sensitive=True),
    *(Ranged(name=f"PAY_{month}", low=-2, high=8) for month in (0, 2, 3, 4, 5, 6)),
    *(Ranged(name=f"BILL_AMT{m}", low=-1e6, high=1e6, log=True) for m in range(1, 7)),
    *(Ranged(name=f"PAY_AMT{m}", low=0, high=1e6, log=True) for m in range(1, 7)),
)
"""The 23 columns, with the limits of the product (NT dollars) and the codes of its form."""

LABEL = "default payment"


def credit_default(scale: str = "auto") -> Dataset:
    """Return 30,000 card holders, `[n, d]`; 1 is default on the payment of the next month."""
    path = FILES.file("credit-card-clients.csv", "credit-card-clients.csv.gz")
    return labeled("credit-default", read_columns(path), FIELDS, (LABEL, ("0", "1")), scale)
