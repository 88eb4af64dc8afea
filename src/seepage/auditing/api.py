"""The functions that run an audit: of a plan, or of one's own model, loss and data."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from ..core.attack import Attack
from ..core.defense import Defense
from ..core.errors import UsageError
from ..core.plan import Component, DataPlan, Gate, Plan, TaskPlan
from ..core.results import Result
from ..core.task import Training
from ..core.toml_lines import key_lines
from . import spec as specs
from .runner import Silent, Watcher, run
from .store import Store, digest, slug, sources_digest, versions

if TYPE_CHECKING:
    from ..core.views import Loss

RUNS = Path("seepage-runs")


def audit(
    model: nn.Module,
    loss: Loss,
    data: tuple[Any, Any],
    *,
    defenses: Sequence[Defense] | Defense = (),
    clients: int = 8,
    rounds: int = 10,
    batch_size: int = 8,
    local_steps: int = 1,
    lr: float = 0.1,
    observers: Sequence[str] | None = None,
    attacks: Sequence[str | Attack] | str | None = None,
    gate: Gate | float | None = None,
    seed: int = 0,
    budget: float | None = 60.0,
    out: str | Path | None = None,
) -> Result:
    """Train a federated job of this model on this data, attack it, and judge it.

    Parameters
    ----------
    model : every federation starts from a copy of it, as given
    loss : `loss(outputs, targets)`, a mean over the batch
    data : `(inputs, targets)`, tensors or arrays `[n, *shape]` and `[n]`; records are dealt
        out at random: an auxiliary part for the attacker, a holdout at each client
    defenses : in the order in which they act
    observers, attacks : by name (None: all that apply); attacks may be instances
    gate : a `Gate`, or the gain that is tolerated
    budget : seconds within which attacks may start (None: no limit)
    out : run folder; None keeps the run in a temporary folder, `result.folder`

    Raises `UsageError` where these do not fit together. See also `audit_plan`.
    """
    defenses = (defenses,) if isinstance(defenses, Defense) else tuple(defenses)
    attacks = (attacks,) if isinstance(attacks, str) else attacks
    if budget is not None and not (isinstance(budget, int | float) and budget > 0):
        raise UsageError(f"budget is {budget!r}; give seconds above 0, or None")
    job = TaskPlan(
        name="task",
        data=DataPlan(source="data", clients=clients),
        model=Component(name=type(model).__name__),
        training=Training(rounds=rounds, batch_size=batch_size, local_steps=local_steps, lr=lr),
    )
    plan = Plan(
        name="api",
        seed=seed,
        budget="none" if budget is None else f"{budget:g}s",
        tasks=(job,),
        defenses=specs.defense_components(defenses),
        attacks=specs.attack_components(attacks or ()),
        observers=specs.observer_names(observers),
        gate=specs.as_gate(gate),
    )
    spec = specs.from_model(model, loss, data, plan=plan, defenses=defenses)
    folder = Path(out) if out else Path(tempfile.mkdtemp(prefix="seepage-"))
    return _run(spec, folder, Silent(), include_records=False)


def audit_plan(
    plan: Plan,
    *,
    source: str = "plan.toml",
    text: str = "",
    base: Path | None = None,
    out: str | Path | None = None,
    include_records: bool = False,
    progress: Watcher | None = None,
) -> Result:
    """Run the audit of a plan.

    Parameters
    ----------
    source, text : where the plan came from, and its TOML (for the lines of findings)
    base : folder in which relative data paths are looked up first
    out : run folder; None is `seepage-runs/NAME-ADDRESS`; a finished run is not run again
    include_records : show real records in reports, unblurred
    """
    lines = _task_lines(plan, text)
    spec = specs.from_plan(plan, source=source, base=base, lines=lines)
    return _run(
        spec,
        Path(out) if out else None,
        progress or Silent(),
        include_records=include_records,
    )


def address_of(spec: specs.Spec, *, include_records: bool) -> str:
    """Return what a run is addressed by: plan, data, sources and versions."""
    return digest(
        specs.plan_settings(spec.plan),
        spec.fingerprint,
        sources_digest(),
        versions(),
        include_records,
    )


def _run(
    spec: specs.Spec, folder: Path | None, watcher: Watcher, *, include_records: bool
) -> Result:
    address = address_of(spec, include_records=include_records)
    folder = folder or RUNS / f"{slug(spec.plan.name)}-{address[:8]}"
    with Store(folder, address) as store:
        return run(spec, store, watcher, include_records=include_records)


def _task_lines(plan: Plan, text: str) -> Mapping[str, int]:
    lines = key_lines(text)
    return {t.name: lines.get(("tasks", i), 1) for i, t in enumerate(plan.tasks)}
