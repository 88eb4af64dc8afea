"""`seepage doctor`: versions, extras, threads, what is missing and how to get it."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

import click

from ..core.registry import KINDS, cards

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
def doctor() -> int:
    """Say what is installed, what is missing and how to get it."""
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
    data = os.environ.get("SEEPAGE_DATA")
    click.echo(f"SEEPAGE_DATA   {data or 'not set (the cache folder of the user is used)'}")
    for kind in KINDS:
        click.echo(f"{kind:<14} {len(cards(kind))}")
    if missing:
        click.echo(f"missing: pip install {' '.join(missing)}", err=True)
        return 2
    return 0
