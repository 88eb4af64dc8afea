"""`seepage doctor`: versions, extras, threads, what is missing and how to get it."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

import click

from ..core.errors import UsageError
from ..core.registry import KINDS, cards
from ..crypto.environments import find
from ..crypto.environments.cards import ENVIRONMENTS, Environment
from ..crypto.environments.make import make

CORE = ("torch", "numpy", "scipy", "scikit-learn", "opacus", "dp-accounting", "cryptography")
EXTRAS = {
    "flower": "flwr",
    "he": "tenseal",
    "mlflow": "mlflow",
    "parquet": "pyarrow",
    "pdf": "typst",
    "scale": "distributed",
    "tune": "optuna",
}


@click.command()
@click.option(
    "--make",
    "wanted",
    type=click.Choice(sorted(ENVIRONMENTS)),
    multiple=True,
    help="Make the environment that a library of its own needs, if it is not there.",
)
def doctor(wanted: tuple[str, ...]) -> int:
    """Say what is installed, what is missing and how to get it."""
    for name in wanted:
        _make(ENVIRONMENTS[name])
    if wanted:
        return 0
    click.echo(f"python         {platform.python_version()} on {platform.machine()}")
    click.echo(f"cores          {os.cpu_count()}")
    missing: list[str] = []
    for name in ("seepage", *CORE):
        try:
            found = version(name)
        except PackageNotFoundError:
            found = "missing"
            missing.append(name)
        click.echo(f"{name:<14} {found}")
    for extra, module in EXTRAS.items():
        here = find_spec(module) is not None
        click.echo(
            f"[{extra}]".ljust(15) + ("installed" if here else f"pip install 'seepage[{extra}]'")
        )
    for environment in ENVIRONMENTS.values():
        click.echo(f"{environment.name:<14} {_state(environment)}")
    data = os.environ.get("SEEPAGE_DATA")
    click.echo(f"SEEPAGE_DATA   {data or 'not set (the cache folder of the user is used)'}")
    for kind in KINDS:
        click.echo(f"{kind:<14} {len(cards(kind))}")
    if missing:
        click.echo(f"missing: pip install {' '.join(missing)}", err=True)
        return 2
    return 0


def _state(environment: Environment) -> str:
    """Return where the library of an environment is, or how to get it."""
    python = find.find(environment)
    if python is None:
        return f"{environment.command} (needs {environment.needs})"
    try:
        return f"{find.version(environment, python)}, {python}"
    except UsageError as error:
        return str(error)


def _make(environment: Environment) -> None:
    try:
        python = find.require(environment)
    except UsageError:
        if os.environ.get(environment.variable):
            raise  # what is made would not be looked at
        python = make(environment, lambda line: click.echo(f"seepage: {line}", err=True))
    click.echo(f"{environment.name:<14} {python}")
