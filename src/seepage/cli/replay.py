"""`seepage replay`: run one finding again and hold it against the record."""

from __future__ import annotations

import sys
from math import isclose
from pathlib import Path

import click

from ..core.errors import UsageError
from ..core.results import Result
from .audit import load_result

RUNS = Path("seepage-runs")


@click.command()
@click.argument("finding")
@click.option("--run", "run_folder", type=click.Path(), help="The run [the newest that has it].")
def replay(finding: str, run_folder: str | None) -> int:
    """Run one FINDING of a finished run again; exit 0 where the figure is the same."""
    recorded = load_result(run_folder) if run_folder else _newest(finding)
    from .progress import Progress

    with Progress(sys.stderr) as progress:
        progress.say(f"replaying {finding}")
        import torch

        from ..auditing.replay import replay as run_again

        torch.set_num_threads(1)
        before, after = run_again(recorded, finding)
    click.echo(f"{finding}: recorded {before.value:.6g}, replayed {after.value:.6g}")
    if isclose(before.value, after.value, rel_tol=1e-8):  # the record holds ten digits
        return 0
    click.echo("seepage: the figures differ (other versions or another machine?)", err=True)
    return 3


def _newest(finding: str) -> Result:
    files = sorted(RUNS.glob("*/result.json"), key=lambda p: p.stat().st_mtime, reverse=True)
    for path in files:
        result = Result.load(path)
        if any(f.id == finding for f in result.findings):
            return result
    raise UsageError(f"no run in {RUNS}/ has the finding {finding!r}; say --run FOLDER")
