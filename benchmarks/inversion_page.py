"""Writes docs/inversion.md from the record of `inversion_table.py`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from inversion_table import MODELS, PICTURES, slug

EXACT = 300.0
PAGE = PICTURES.with_suffix(".md")
HEADINGS = {
    "fashion-mlp": "Fashion-MNIST, MLP of width 512",
    "fashion-lenet": "Fashion-MNIST, LeNet",
    "cifar-convnet": "CIFAR-10, ConvNet of width 16 with BatchNorm",
    "cifar-resnet20": "CIFAR-10, ResNet-20 with BatchNorm",
}
INTRO = """\
# Which gradient inversions work, and what stops them

Every inversion of seepage, wherever its threat model applies, on nets at the start and at the end
of a federated training by 8 clients, on batches of 1 and 8. Labels, where an attack needs them, are
recovered from the gradient. Nobody is given more than the card of the attack says.

- **id. rate**: share of victims whose reconstruction is nearer to them than to every other of 1,000
  candidates (batches matched by the Hungarian method), with a 95 % interval over independent
  batches. **guess** is the greater of the same attack on another client's view and the best guess
  without a view. **gain** is the difference, with its interval.
- **solved**: share of batches that the attack *itself* takes for solved, without the truth.
- **CPU s**: seconds a batch on one core of a small server, which had other work to do. A record
  takes 10 s at most; more are `learning-to-invert` with what it learns first (once for batches
  of the same labels), and `fishing` on ResNet-20, which starts four times.
- Attacks of a malicious server act in that round: it sends the model. `model-inconsistency` goes
  for one client of a cohort of 8, and `fishing` for one record of the batch (several where the
  first layer is linear), so that 1/8 is all they can get.

Written by `python benchmarks/inversion_table.py --render` from
`benchmarks/results/inversion_table.jsonl`.
"""


SAYS = """\
## What it says

- **The architecture decides more than the training.** A linear first layer gives whole batches
  away exactly (`spear`, `fully-connected`), trained or not. A small convolutional net gives up
  single records almost always, and a third to two thirds of a batch of 8 at the end of training.
  ResNet-20 loses one single record in four to an honest server, and batches of 8 not at all
  beyond chance.
- **A server that chooses the model needs no search.** `imprint` reads every record off any net
  here, off a sum of eight clients as well, and past a commitment to one model for all. Its layers
  are plain to see for a client that looks (below). `model-inconsistency` gets its one client out
  of the sum, and nothing where clients commit to one model.
- **Secure summation alone is no defense of a linear first layer**: `ica` finds three quarters of
  the 64 records in a sum of eight updates.
- **Top-k at a tenth hides little.** Matching only what was sent finds twice as many records on the
  MLP as matching zeros; imprints of a LeNet pass untouched.
- **Noise works.** Under `dp-sgd` with noise multiplier 1 and under `local-dp` at .1 no attack
  gains anything that chance does not explain, fixed or adaptive. Both cost accuracy: see there.
- **Five local steps halve what comes back** at the end of training, or more, and no attack on
  them here is clearly better than `inverting-gradients`.
- Six batches of 8 leave wide intervals: a gain whose lower limit is below 0 is no finding.
"""


def write_page(found: Sequence[Mapping[str, Any]]) -> None:
    """Write the page: summaries, a table a model, the defended tables, and the pictures."""
    plain = [r for r in found if not r["defense"] and r["steps"] == 1]
    parts = [INTRO, SAYS, _at_a_glance(plain)]
    for model in MODELS:
        rows = [r for r in plain if r["model"] == model]
        if rows:
            parts += [f"## {HEADINGS[model]}, no defense\n", _accuracies(rows), *_undefended(rows)]
            parts.append(_pictures(rows))
    steps = [r for r in found if r["steps"] > 1]
    if steps:
        parts.append("## FedAvg: 5 local steps, end of training, no defense\n")
        parts.append(_table(steps, ("model", "batch", "attack")))
    defended = [r for r in found if r["defense"]]
    for model in MODELS:
        rows = [r for r in defended if r["model"] == model]
        if rows:
            parts.append(f"## {HEADINGS[model]}, defended, end of training, batches of 8\n")
            parts += [_accuracies(rows, "defense"), _table(rows, ("defense", "attack"))]
    seen = [
        r
        for r in found
        if r.get("details", {}).get("client_sees") and (r["stage"], r["batch"]) == ("end", 8)
    ]
    seen = [r for r in seen if not r["defense"] or r["attack"] == "model-inconsistency"]
    seen = [r for r in seen if "commitment" not in r["defense"]]
    if seen:
        parts += ["## What the clients could have noticed\n", _noticed(seen)]
    PAGE.write_text("\n".join(parts).rstrip() + "\n")


def _at_a_glance(plain: Sequence[Mapping[str, Any]]) -> str:
    """Return identification rates at the end of training: an attack a line, a net a column."""
    rates = {
        (r["attack"], r["model"], r["batch"]): f"{r['value']:.2f}"
        for r in plain
        if r["stage"] == "end" and "value" in r
    }
    names = dict.fromkeys(r["attack"] for r in plain)
    columns = [(model, batch) for model in MODELS for batch in (1, 8)]
    lines = [
        "## At a glance\n",
        "Identification rate at the end of training, no defense, one local step.\n",
        "| attack | " + " | ".join(f"{m}, b={b}" for m, b in columns) + " |",
        "|---" * (len(columns) + 1) + "|",
    ]
    for name in names:
        cells = (rates.get((name, *column), "") for column in columns)
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _accuracies(rows: Sequence[Mapping[str, Any]], by: str = "stage") -> str:
    found = {(r[by], r["batch"]): r["accuracy"]["test"] for r in rows if r.get("accuracy")}
    told = (f"{stage}, batches of {b}: {value:.2f}" for (stage, b), value in found.items())
    return f"Held-out accuracy at the moment of the attack: {'; '.join(told)}.\n"


def _undefended(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    ran = [r for r in rows if "value" in r]
    names = sorted({r["attack"] for r in rows} - {r["attack"] for r in ran})
    reasons = {r["attack"]: r["not_run"] for r in rows if r["attack"] in names}
    parts = [_table(ran, ("attack", "stage", "batch"))]
    if reasons:
        told = "\n".join(f"- `{name}`: {reason}" for name, reason in reasons.items())
        parts.append(f"Do not apply:\n\n{told}\n")
    return parts


def _table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> str:
    names = [*columns, "id. rate", "guess", "gain", "median PSNR", "solved", "victims", "CPU s"]
    lines = [f"| {' | '.join(names)} |", "|" + "---|" * len(names)]
    order = sorted(rows, key=lambda r: tuple(str(r[c]) for c in columns))
    for row in order:
        cells = [_named(row, c) for c in columns]
        if "value" not in row:
            lines.append(f"| {' | '.join(cells)} | not run: {row['not_run']} | | | | | | |")
            continue
        low, high = row["ci"]
        least, most = row["gain_ci"]
        cells += [
            f"{row['value']:.2f} [{low:.2f}, {high:.2f}]",
            f"{max(row['null'], row['prior']):.3f}",
            f"{row['gain']:.2f} [{least:.2f}, {most:.2f}]",
            _decibels(row["details"].get("psnr_median_db", 0)),
            f"{row['solved']:.2f}",
            f"{row['n']} in {row['draws']}",
            f"{row['seconds']:.2f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _decibels(value: float) -> str:
    return "exact" if value > EXACT else f"{value:.1f} dB" if value else ""


def _named(row: Mapping[str, Any], column: str) -> str:
    if column != "attack":
        return str(row[column])
    settings = ", ".join(f"{k}={v}" for k, v in row["settings"].items())
    return f"`{row['attack']}`" + (f" ({settings})" if settings else "")


def _pictures(rows: Sequence[Mapping[str, Any]]) -> str:
    """Show the pictures of the end of training: truth above, reconstruction below."""
    lines: list[str] = []
    for row in rows:
        path = PICTURES / f"{slug(row['key'])}.png"
        if row["stage"] == "end" and row["batch"] == 8 and path.exists():
            shown = f"{PICTURES.name}/{path.name}"
            lines.append(f"`{row['attack']}`, batches of 8, end of training:\n\n![]({shown})\n")
    if lines:
        lines.insert(0, "<details><summary>Pictures: truth above, claims below</summary>\n")
        lines.append("</details>\n")
    return "\n".join(lines)


def _noticed(rows: Sequence[Mapping[str, Any]]) -> str:
    figures = ("parameter_distance", "d_snr", "parallel_rows", "silent_neurons")
    titles = ["attack", "model", "batch", *(f.replace("_", " ") for f in figures)]
    lines = [
        "Medians over clients, of the sent model and, in brackets, of the honest one: relative "
        "distance of the parameters, the largest share of one record in a layer's gradient "
        "(D-SNR), the share of parallel rows in a linear layer (imprints), and of ReLU units that "
        "the whole batch leaves silent.\n",
        f"| {' | '.join(titles)} |",
        "|" + "---|" * len(titles),
    ]
    for row in rows:
        sees = row["details"]["client_sees"]
        cells = [f"`{row['attack']}`", row["model"], str(row["batch"])]
        cells += [f"{_short(sees['sent'][f])} ({_short(sees['honest'][f])})" for f in figures]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _short(value: Any) -> str:
    return f"{value:.2g}" if isinstance(value, int | float) else str(value)
