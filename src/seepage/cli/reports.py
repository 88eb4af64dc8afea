"""`seepage report` and `seepage compare`: read finished runs."""

from __future__ import annotations

from pathlib import Path

import click

from ..core.registry import card
from .audit import load_result


@click.command()
@click.argument("run", type=click.Path())
@click.option("--format", "formats", default="html", help="html,json,junit,sarif,md [html].")
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write into [the run].")
def report(run: str, formats: str, out: Path | None) -> None:
    """Write reports of a finished RUN folder."""
    wanted = [card("formats", name) for name in formats.split(",") if name]
    result = load_result(run)
    for known in wanted:
        folder = out or result.folder or Path()
        click.echo(result.save(folder / f"report{known.parameters[0].default}"))


@click.command()
@click.argument("before", type=click.Path())
@click.argument("after", type=click.Path())
def compare(before: str, after: str) -> None:
    """Show what changed between two finished runs."""
    from ..report.compare import compare as compare_results
    from ..report.compare import print_comparison
    from .terminal import Terminal

    print_comparison(compare_results(load_result(before), load_result(after)), Terminal())
