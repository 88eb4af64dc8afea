"""`seepage audit`: run a job, attack it, judge it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..core.errors import UsageError
from ..core.names import nearest
from ..core.registry import card, cards

if TYPE_CHECKING:
    from ..core.plan import Plan
    from ..core.results import Result

EXITS = {"pass": 0, "leak": 1, "inconclusive": 3}


@click.command()
@click.argument("plan")
@click.option("--out", type=click.Path(path_type=Path), help="Run folder [seepage-runs/NAME-...].")
@click.option("--seed", type=int, help="Seed of everything random [the plan's].")
@click.option("--budget", help="How long cells may start: 60s, 10m, 2h, none [the plan's].")
@click.option("--json", "as_json", is_flag=True, help="Print result.json instead of a table.")
@click.option("--format", "formats", default="", help="Also write: html,json,junit,sarif,md,pdf.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change the plan.")
@click.option(
    "--fail-on",
    type=click.Choice(["leak", "inconclusive"]),
    default="inconclusive",
    help="The mildest verdict that exits above 0 [inconclusive].",
)
@click.option("--include-records", is_flag=True, help="Show real records in reports, unblurred.")
def audit(
    plan: str,
    out: Path | None,
    seed: int | None,
    budget: str | None,
    as_json: bool,
    formats: str,
    settings: tuple[str, ...],
    fail_on: str,
    include_records: bool,
) -> int:
    """Run the job of PLAN (a file, or a bundled plan's name), attack it and judge it."""
    wanted = [card("formats", name) for name in formats.split(",") if name]
    for known in wanted:
        known.load()  # a format that lacks its extra says so before the audit, not after
    changes = [*settings]
    if seed is not None:
        changes.append(f"seed={seed}")
    if budget is not None:
        changes.append(f'budget="{budget}"')
    read, text, base = read_plan_argument(plan, tuple(changes))
    try:
        result = _run(read, plan, text, base, out, include_records)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("finished cells are kept, the same command goes on") from None
    if result.folder is None:
        raise RuntimeError("an audit's result must have a folder")
    for known in wanted:
        result.save(result.folder / f"report{known.parameters[0].default}")
    from ..report.table import print_result
    from .terminal import Terminal, until_closed

    with until_closed():
        if as_json:
            click.echo((result.folder / "result.json").read_text(), nl=False)
        else:
            print_result(result, Terminal())
    code = EXITS[result.verdict]
    return 0 if fail_on == "leak" and result.verdict == "inconclusive" else code


def read_plan_argument(plan: str, settings: tuple[str, ...]) -> tuple[Plan, str, Path]:
    """Return the plan of a file or of a bundled name, its text, and its folder."""
    from ..core.plan_reader import read_plan

    path = Path(plan)
    if path.is_file():
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{plan}: can't be read: {error}") from error
        return read_plan(text, source=plan, settings=settings), text, path.parent
    known = cards("plans")
    if plan not in known:
        raise UsageError(f"{plan}: no such file, and no bundled plan{nearest(plan, known)}")
    text = known[plan].load()()
    return read_plan(text, source=plan, settings=settings), text, Path()


def _run(
    plan: Plan, source: str, text: str, base: Path, out: Path | None, include_records: bool
) -> Result:
    from .progress import Progress

    progress = Progress(sys.stderr)
    named = [n for t in plan.tasks for n in (t.data.source, t.model.name, t.loss) if ":" in n]
    if named:
        progress.say(f"this plan runs code of yours: {', '.join(sorted(set(named)))}")
        sys.path.insert(0, str(base.resolve()))
    progress.say("loading torch and the plan's data")
    with progress:
        import torch

        from ..auditing.api import audit_plan

        torch.set_num_threads(1)
        return audit_plan(
            plan,
            source=source,
            text=text,
            base=base,
            out=out,
            include_records=include_records,
            progress=progress,
        )


def load_result(run: str) -> Result:
    """Return the result of a run folder or file."""
    from ..core.results import Result

    return Result.load(run)


def dump(content: object) -> None:
    """Print plain types as JSON."""
    click.echo(json.dumps(content, indent=2))
