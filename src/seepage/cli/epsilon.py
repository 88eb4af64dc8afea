"""`seepage epsilon`: the honest epsilon record of a Gaussian mechanism."""

from __future__ import annotations

import click


@click.command()
@click.option("--noise-multiplier", type=float, required=True, help="Noise std / clipping norm.")
@click.option("--sample-rate", type=float, default=1.0, help="Poisson sampling rate [1].")
@click.option("--steps", type=int, default=1, help="Number of releases [1].")
@click.option("--delta", type=float, default=1e-5, help="Failure probability of the total [1e-5].")
@click.option(
    "--adjacency",
    type=click.Choice(["add-remove", "replace", "zero-out"]),
    default="add-remove",
    help="What neighboring data differ in [add-remove].",
)
@click.option("--unit", type=click.Choice(["record", "client"]), default="record")
@click.option("--json", "as_json", is_flag=True, help="Print the record as JSON.")
def epsilon(
    noise_multiplier: float,
    sample_rate: float,
    steps: int,
    delta: float,
    adjacency: str,
    unit: str,
    as_json: bool,
) -> None:
    """Print the epsilon that a (subsampled) Gaussian mechanism really has, in total."""
    from dataclasses import asdict

    from ..accounting.api import epsilon as account

    record = account(noise_multiplier, sample_rate, steps, delta, adjacency=adjacency, unit=unit)
    content = {
        k: "unbounded" if isinstance(v, float) and v == float("inf") else v
        for k, v in asdict(record).items()
    }
    if as_json:
        from .audit import dump

        dump(content)
        return
    content.pop("rero")
    content |= {f"rero at prior {prior}": bound for prior, bound in record.rero.items()}
    width = max(map(len, content))
    for name, value in content.items():
        shown = f"{value:.4g}" if isinstance(value, float) else value
        if value not in ("", None):
            click.echo(f"{name:<{width}}  {shown}")
