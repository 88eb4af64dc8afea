"""`seepage init`: a commented plan to start from."""

from __future__ import annotations

from pathlib import Path

import click

from ..core.errors import UsageError

TEMPLATE = """\
# A plan of seepage: `seepage audit {name}` runs it. Every key is explained by
# `seepage show NAME` (of an attack, defense, dataset or model) or below.
name = "{stem}"
seed = 0
budget = "5m"         # how long attacks may start; those that do not fit are reported
observers = ["honest-server", "peer-client", "model-holder"]      # `seepage list observers`

[[tasks]]
name = "digits"
moments = ["start", "end"]      # stages of training at which updates are attacked
# groups = ["sex"]    # columns between whose groups membership attacks are compared; default: those
                      # that people may mind, label and client

[tasks.data]
source = "digits"     # a name (`seepage list datasets`), a .npz/.csv/.parquet/IDX file, a folder of
                      # images (one subfolder a class), or module:function
clients = 8
partition = "iid"     # or dirichlet (with alpha = 0.5), or column (with column = "hospital")

[tasks.model]
name = "mlp"          # `seepage list models`, or module:function that returns an nn.Module
width = 768

[tasks.training]
rounds = 80
batch_size = 6        # 0: all that a client holds
local_steps = 1       # 1 is FedSGD, more is FedAvg
lr = 0.3
cohort = 0            # clients sampled a round; 0: all

# Take the defense out, and the audit shows what the job leaks without it.
[[defenses]]
name = "dp-sgd"       # `seepage list defenses`
noise_multiplier = 1.0
max_grad_norm = 1.0

# [[attacks]]         # default: every attack that applies
# name = "fully-connected"

[gate]
tolerance = 0.05      # gain over the null control and the prior that is still acceptable
# [[gate.accept]]     # a finding that somebody has looked at
# id = "digits/honest-server/label-counts/start/label_rate"
# reason = "labels are public"
# expires = 2027-06-30
"""


@click.command()
@click.argument("file", default="plan.toml", type=click.Path(path_type=Path))
def init(file: Path) -> None:
    """Write a commented plan to FILE [plan.toml]; an existing file is left alone."""
    try:
        with file.open("x") as handle:
            handle.write(TEMPLATE.format(name=file, stem=file.stem))
    except FileExistsError as error:
        raise UsageError(f"{file} exists; choose another name") from error
    except OSError as error:
        raise UsageError(f"{file}: can't be written: {error.strerror}") from error
    click.echo(f"wrote {file}: next, seepage audit {file}")
