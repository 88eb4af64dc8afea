"""`seepage epsilon`: the honest epsilon record of what a person runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ..accounting.deployment import Deployment
    from ..core.privacy import EpsilonRecord

# Spelled out here so that `--help` need not import the accountants; a test compares them.
MECHANISMS = (
    "gaussian",
    "laplace",
    "matrix-gaussian",
    "distributed-gaussian",
    "randomized-response",
    "pure",
)
_CURVE_POINTS = 10
_BAR = 40


@click.command()
@click.option("--noise-multiplier", type=float, help="Noise std / clipping norm.")
@click.option("--release-epsilon", type=float, help="Epsilon of one release, in its place.")
@click.option("--target-epsilon", type=float, help="Find the noise for this total epsilon.")
@click.option(
    "--mechanism", type=click.Choice(MECHANISMS), default="gaussian", help="What is run [gaussian]."
)
@click.option("--sample-rate", type=float, default=1.0, help="Poisson sampling rate [1].")
@click.option(
    "--releases", "--steps", "releases", type=int, default=1, help="Number of releases [1]."
)
@click.option("--delta", type=float, default=1e-5, help="Failure probability of the total [1e-5].")
@click.option(
    "--adjacency",
    type=click.Choice(["add-remove", "replace", "zero-out"]),
    help="What neighboring data differ in [add-remove].",
)
@click.option("--unit", type=click.Choice(["record", "client"]), default="record")
@click.option(
    "--observer",
    type=click.Choice(["central", "participation-aware", "single-updates"]),
    default="central",
    help="Who looks: at sums alone; knowing who took part; at single updates too [central].",
)
@click.option("--clients", type=int, help="Clients that share the noise, or honest survivors.")
@click.option(
    "--participations", type=int, help="Releases that a unit enters [the expected number]."
)
@click.option("--min-separation", type=int, help="Steps between participations (matrix-gaussian).")
@click.option("--categories", type=int, help="Possible answers (randomized-response) [2].")
@click.option("--dimension", type=int, help="Coordinates (distributed-gaussian).")
@click.option("--granularity", type=float, help="Grid / clipping norm (distributed-gaussian).")
@click.option("--curve", is_flag=True, help="Show epsilon over the number of releases too.")
@click.option("--json", "as_json", is_flag=True, help="Print the record as JSON.")
def epsilon(*, curve: bool, as_json: bool, **flags: Any) -> None:
    """Print the epsilon that a mechanism really has, in total, against whom."""
    from ..accounting.deployment import Deployment
    from ..accounting.vantage import calibrated, record_of

    run = calibrated(Deployment(**flags))
    record = record_of(run)
    points = _curve(run) if curve else []
    content = _content(record, run, found=flags["target_epsilon"] is not None)
    if as_json:
        from .audit import dump

        dump(content | ({"curve": points} if curve else {}))
        return
    _table(content)
    _draw(points)


def _content(record: EpsilonRecord, run: Deployment, *, found: bool) -> dict[str, Any]:
    """Return the record as JSON, with the short names beside the long ones."""
    from dataclasses import asdict

    content = asdict(record)
    content["composition"] = list(record.composition)
    content |= {"release_epsilon": record.per_release_epsilon, "bits": record.information_bits}
    if found:
        content["noise_multiplier"] = run.noise_multiplier
    return {name: _finite(value) for name, value in content.items()}


def _finite(value: Any) -> Any:
    return "unbounded" if value == float("inf") else value


def _table(content: dict[str, Any]) -> None:
    """Print one line a fact."""
    hidden = ("rero", "max_tpr", "composition", "per_release_epsilon", "information_bits")
    shown = {name: value for name, value in content.items() if name not in hidden}
    shown |= {f"rero at prior {prior}": bound for prior, bound in content["rero"].items()}
    shown |= {f"max TPR at FPR {fpr}": bound for fpr, bound in content["max_tpr"].items()}
    width = max(map(len, shown))
    for name, value in shown.items():
        text = f"{value:.4g}" if isinstance(value, float) else value
        if value not in ("", None):
            click.echo(f"{name:<{width}}  {text}")


def _curve(run: Deployment) -> list[dict[str, Any]]:
    """Return epsilon after fewer releases of the same noise, up to all."""
    from dataclasses import replace

    from ..accounting.record import epsilon_and_accountant
    from ..accounting.vantage import as_met, noise_of

    if run.noise_multiplier is None and run.mechanism in ("gaussian", "laplace"):
        run = replace(run, noise_multiplier=noise_of(run), release_epsilon=None)
    last, points = run.releases, dict[int, float]()
    for k in range(_CURVE_POINTS):
        releases = round(last ** (k / (_CURVE_POINTS - 1)))
        entered = None if run.participations is None else min(run.participations, releases)
        part = replace(run, releases=releases, participations=entered)
        points[releases] = epsilon_and_accountant(as_met(part), run.delta)[0]
    return [{"releases": n, "epsilon": _finite(e)} for n, e in points.items()]


def _draw(points: list[dict[str, Any]]) -> None:
    """Print the curve as a table with bars."""
    if not points:
        return
    most = max((p["epsilon"] for p in points if p["epsilon"] != "unbounded"), default=0.0)
    click.echo(f"\n{'releases':>10}  {'epsilon':>10}")
    for point in points:
        value = point["epsilon"]
        if value == "unbounded":
            click.echo(f"{point['releases']:>10}  {value:>10}")
            continue
        bar = "#" * round(_BAR * value / most) if most else ""
        click.echo(f"{point['releases']:>10}  {value:>10.4g}  {bar}".rstrip())
