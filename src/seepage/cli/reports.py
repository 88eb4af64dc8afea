"""`seepage report` and `seepage compare`: read finished runs."""

from __future__ import annotations

from pathlib import Path

import click

from ..core.registry import card
from .audit import dump, load_result


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
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON.")
def compare(before: str, after: str, as_json: bool) -> None:
    """Lay two finished runs side by side: leakage, bounds, utility, cost, and what changed."""
    from ..report.compare import compare as compare_results
    from ..report.compare import print_comparison
    from .terminal import Terminal

    found = compare_results(load_result(before), load_result(after))
    if as_json:
        dump(found.to_json())
        return
    print_comparison(found, Terminal())
