"""The bundled plans, by name."""

from functools import partial
from importlib.resources import files

from ...core.cards import Card


def _text(name: str) -> str:
    return (files(__name__) / f"{name}.toml").read_text()


quickstart = partial(_text, "quickstart")
icu_mortality = partial(_text, "icu-mortality")
heart_disease = partial(_text, "heart-disease")
credit_default = partial(_text, "credit-default")
income = partial(_text, "income")

CARDS = (
    Card(
        name="quickstart",
        summary="Digits, 8 clients, an MLP and a LeNet under record-level DP-SGD: about a minute.",
        implementation="seepage.auditing.plans:quickstart",
    ),
    Card(
        name="icu-mortality",
        summary="Who was in intensive care? Logistic regression over four units, and a model "
        "overfit on purpose (data folder).",
        implementation="seepage.auditing.plans:icu_mortality",
    ),
    Card(
        name="heart-disease",
        summary="Who was a heart patient? Logistic regression over four hospitals, and a model "
        "overfit on purpose (data folder).",
        implementation="seepage.auditing.plans:heart_disease",
    ),
    Card(
        name="credit-default",
        summary="Who holds a credit card? An MLP over six banks, and a model overfit on purpose "
        "(data folder).",
        implementation="seepage.auditing.plans:credit_default",
    ),
    Card(
        name="income",
        summary="Who was in the census? An MLP over eight offices, and a model overfit on purpose "
        "(data folder).",
        implementation="seepage.auditing.plans:income",
    ),
)
