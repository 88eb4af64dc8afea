"""The bundled plans, by name."""

from importlib.resources import files

from ...core.cards import Card


def quickstart() -> str:
    """Return the TOML text of the plan `quickstart`."""
    return (files(__name__) / "quickstart.toml").read_text()


CARDS = (
    Card(
        name="quickstart",
        summary="Digits, 8 clients, an MLP and a LeNet under record-level DP-SGD: about a minute.",
        implementation="seepage.auditing.plans:quickstart",
    ),
)
