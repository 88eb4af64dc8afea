"""`seepage report` and `seepage compare`: read finished runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..core.errors import UsageError
from ..core.registry import card
from .audit import dump, load_result

if TYPE_CHECKING:
    from ..core.results import Result


@click.command()
@click.argument("run", type=click.Path())
@click.option("--format", "formats", default="html", help="html,json,junit,sarif,md,pdf [html].")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder or file to write into [the run]."
)
def report(run: str, formats: str, out: Path | None) -> None:
    """Write reports of a finished RUN folder."""
    wanted = [card("formats", name) for name in formats.split(",") if name]
    result = load_result(run)
    suffixes = [known.parameters[0].default for known in wanted]
    if out is not None and [out.suffix] == suffixes:
        click.echo(result.save(out))
        return
    for suffix in suffixes:
        folder = out or result.folder or Path()
        click.echo(result.save(folder / f"report{suffix}"))


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN...", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Draw the curves over epsilon (.html)."
)
def compare(runs: tuple[str, ...], as_json: bool, out: Path | None) -> None:
    """Lay finished runs side by side: leakage, bounds, utility, cost.

    Two runs: what changed from the first to the second. More, of the same job at different
    noise: utility and leakage over their total epsilon.
    """
    from .terminal import Terminal, until_closed

    if len(runs) < 2:
        raise UsageError("compare needs two runs or more")
    if out is not None and out.suffix != ".html":
        raise UsageError(f"--out {out}: curves are drawn as .html")
    results = [load_result(run) for run in runs]
    if out is not None:
        _draw(results, out)
    with until_closed():
        if len(results) == 2:
            from ..report.compare import compare as compare_results
            from ..report.compare import print_comparison

            changes = compare_results(*results)
            dump(changes.to_json()) if as_json else print_comparison(changes, Terminal())
            return
        from ..report.tradeoff import tradeoffs
        from ..report.tradeoff_table import print_tradeoffs

        found = tradeoffs(results)
        if as_json:
            dump({"tradeoffs": [tradeoff.to_json() for tradeoff in found]})
            return
        print_tradeoffs(found, Terminal())


def _draw(results: list[Result], out: Path) -> None:
    """Write the page of curves and say where it is."""
    from ..report.tradeoff import tradeoffs
    from ..report.tradeoff_page import render_tradeoffs

    page = render_tradeoffs(tradeoffs(results))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(page)
    except OSError as error:
        raise UsageError(f"{out}: can't be written: {error.strerror}") from error
    click.echo(f"curves: {out}", err=True)
