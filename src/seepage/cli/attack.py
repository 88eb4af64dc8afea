"""`seepage attack`: one attack alone on a few batches of one job, with pictures."""

from __future__ import annotations

import hashlib
import json
import sys
import tomllib
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..core.errors import NotApplicableError, UsageError
from ..core.plan import MOMENTS
from ..core.plan_reader import plan_from_json
from ..core.results import plain_json

if TYPE_CHECKING:
    from ..auditing.trial import Trial
    from ..core.plan import Plan


@click.command()
@click.argument("name")
@click.option(
    "--dataset",
    default="digits",
    help="A dataset, or a file,key=value,... as in a plan's data [digits].",
)
@click.option("--model", default="mlp", help="A model, e.g. mlp,width=512 [mlp].")
@click.option("--batch", default=4, help="Records a local step [4].")
@click.option("--stage", type=click.Choice(MOMENTS), default="start", help="When [start].")
@click.option("--seed", default=0, help="Seed of everything random [0].")
@click.option("--defense", "defenses", multiple=True, help="E.g. dp-sgd,noise_multiplier=1.0.")
@click.option("--local-steps", default=1, help="Steps a client takes a round [1].")
@click.option("--rounds", default=60, help="Rounds of the whole job [60].")
@click.option("--lr", default=0.1, help="Learning rate of the local steps [0.1].")
@click.option("--clients", default=8, help="Clients of the job [8].")
@click.option("--draws", default=4, help="Batches to attack [4].")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Of the attack.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of pictures [seepage-runs].")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of words.")
@click.option("--include-records", is_flag=True, help="Show real records, unblurred.")
def attack(
    name: str,
    dataset: str,
    model: str,
    batch: int,
    stage: str,
    seed: int,
    defenses: tuple[str, ...],
    local_steps: int,
    rounds: int,
    lr: float,
    clients: int,
    draws: int,
    settings: tuple[str, ...],
    out: Path | None,
    as_json: bool,
    include_records: bool,
) -> None:
    """Run attack NAME alone; exit 0 whatever it finds (`seepage audit` gives verdicts)."""
    for option, value, least in (("draws", draws, 1), ("batch", batch, 1), ("seed", seed, 0)):
        if value < least:
            raise UsageError(f"--{option} is {value}; use {least} or more")
    plan = plan_from_json(
        {
            "seed": seed,
            "tasks": [
                {
                    "name": Path(dataset.partition(",")[0]).stem,
                    "data": {"clients": clients, **parsed(dataset, "source")},
                    "model": parsed(model),
                    "training": {
                        "rounds": rounds,
                        "batch_size": batch,
                        "local_steps": local_steps,
                        "lr": lr,
                    },
                    "moments": [stage],
                }
            ],
            "defenses": [parsed(d) for d in defenses],
            "attacks": [parsed(",".join([name, *settings]))],
        }
    )
    short = f"attack-{name}-{plan.tasks[0].name}-{plan.tasks[0].model.name}-b{batch}-{stage}-{seed}"
    folder = out or Path("seepage-runs") / f"{short}-{_digest(plan, draws)}"
    _make(folder)
    found = _run(plan, f"{name} on {dataset}", draws, include_records=include_records)
    _tell(found, folder, as_json, include_records)


def _run(plan: Plan, told: str, draws: int, *, include_records: bool) -> Trial:
    """Train the job and attack it; `UsageError` where the attack can't work on such a job."""
    from .progress import Progress

    with Progress(sys.stderr) as progress:
        progress.say(f"training {plan.tasks[0].model.name}, then {told}")
        import torch

        from ..auditing.trial import Bench

        torch.set_num_threads(1)
        bench = Bench(plan, draws=draws, base=Path())
        try:
            return bench.run(plan.attacks[0], include_records=include_records)
        except NotApplicableError as error:
            raise UsageError(f"{plan.attacks[0].name} can't be run on this job: {error}") from error


def _digest(plan: Plan, draws: int) -> str:
    """Return eight letters that differ wherever the job, the attack or the draws do."""
    text = json.dumps([asdict(plan), draws], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _make(folder: Path) -> None:
    """Make the folder before any work is done for it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "picture.png").unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: can't be written: {error.strerror}") from error


def _tell(found: Trial, folder: Path, as_json: bool, include_records: bool) -> None:
    """Write the files and print the figures."""
    picture = _write(found, folder)
    if as_json:
        content = {**found.to_json(), "picture": str(picture) if picture else None}
        click.echo(json.dumps(plain_json(content), indent=2))
    else:
        _say(found, picture, include_records)


def parsed(text: str, name: str = "name") -> dict[str, Any]:
    """Return the table behind `NAME,key=value,...`, values as in TOML (or bare words).

    Raises `UsageError` for a setting without a value.
    """
    first, *pairs = text.split(",")
    settings: dict[str, Any] = {name: first}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"{text}: {pair!r} is no setting; write KEY=VALUE")
        settings[key.strip()] = _value(value.strip())
    return settings


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _write(found: Trial, folder: Path) -> Path | None:
    """Write `trial.json` and, for images, `picture.png`; return the picture's path."""
    from ..report.mosaic import mosaic

    try:
        text = json.dumps(plain_json(found.to_json()), indent=2) + "\n"
        (folder / "trial.json").write_text(text)
        drawn = mosaic({k: v for k, v in found.pictures.items() if k in ("truth", "defended")})
        if drawn is None:
            return None
        (folder / "picture.png").write_bytes(drawn)
    except OSError as error:
        raise UsageError(f"{folder}: can't be written: {error.strerror}") from error
    return folder / "picture.png"


def _say(found: Trial, picture: Path | None, include_records: bool) -> None:
    from ..report.plan_facts import measured_lines

    low, high = found.ci
    lines = [
        f"{found.attack} by the {found.observer}, {found.draws} batches, {found.n} victims",
        f"{found.metric}  {found.value:.3f}  [{low:.3f}, {high:.3f}] (95 %)",
        f"null {found.null:.3f}, prior {found.prior:.3f}, gain {found.gain:.3f} "
        f"[{found.gain_ci[0]:.3f}, {found.gain_ci[1]:.3f}]",
    ]
    if found.metric == "identification_rate":
        lines.append(
            f"solved by its own judgement  {found.solved:.2f}; {found.seconds:.2f} CPU s a batch"
        )
    lines += measured_lines(found.details)
    lines += [found.explanation] if found.explanation else []
    if picture:
        blurred = "" if include_records else "; blurred: --include-records shows them clearly"
        lines.append(f"pictures: {picture} (truth above{blurred})")
    click.echo("\n".join(lines))
