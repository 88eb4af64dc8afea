"""What is audited: from a plan, or from a user's own model, loss and data, to jobs."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from ..core.attack import Attack
from ..core.defense import Defense
from ..core.errors import DataError, PlanError, UsageError
from ..core.plan import Component, Gate, Plan, TaskPlan, check_observers
from ..core.registry import card, cards
from ..core.seeds import numpy_rng, torch_rng
from ..core.task import ClientData, Records, Task
from ..data.api import from_arrays, load
from ..data.dataset import Dataset
from ..data.partition import split
from ..models.api import build, check_fit
from ..models.api import loss as loss_of
from .cells import Attacker, Job
from .columns import check_columns
from .groups import check_groups

if TYPE_CHECKING:
    from ..core.views import Loss


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Spec:
    """All that an audit runs on; `fingerprint` changes when any of it does.

    `plan` holds the settings; `lines` the line of each task in `source`.
    """

    plan: Plan
    jobs: tuple[Job, ...]
    attackers: tuple[Attacker, ...]
    fingerprint: str
    source: str
    lines: Mapping[str, int] = field(default_factory=dict[str, int])
    replayable: bool = True


def from_plan(
    plan: Plan, *, source: str, base: Path | None = None, lines: Mapping[str, int] | None = None
) -> Spec:
    """Load data and models of a plan; relative paths are looked up in `base`.

    Raises `UsageError` where data, models or defenses do not fit together.
    """
    defenses = tuple(_build_defense(c) for c in plan.defenses)
    built = [_task(t, plan.seed, base) for t in plan.tasks]
    jobs: list[Job] = []
    for task_plan, (task, _) in zip(plan.tasks, built, strict=True):
        _check(task, defenses)
        jobs.append(
            Job(
                task=task,
                defenses=defenses,
                moments=task_plan.moments,
                attacks=task_plan.attacks,
                groups=task_plan.groups,
            )
        )
    attackers = _attackers(plan.attacks)
    check_columns(jobs, attackers)
    check_groups(jobs)
    return Spec(
        plan=plan,
        jobs=tuple(jobs),
        attackers=attackers,
        fingerprint=_join(*(data for _, data in built), *_code(plan, base)),
        source=source,
        lines=lines or {},
    )


def from_model(
    model: nn.Module,
    loss: Loss,
    data: tuple[Any, Any],
    *,
    plan: Plan,
    defenses: Sequence[Defense],
) -> Spec:
    """Take a user's own model, loss and `(inputs, targets)`; each copy of it starts as given.

    The job is the first task of `plan`.

    The model's class count is its number of outputs where the targets are integers.
    """
    if not isinstance(model, nn.Module):
        raise UsageError(f"model must be an nn.Module, not {type(model).__name__}")
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise UsageError("data must be a pair (inputs, targets)")
    dataset = from_arrays(*data)
    job = plan.tasks[0]
    parts, auxiliary = _dealt(dataset, job, numpy_rng(plan.seed, "split"))
    task = Task(
        name=job.name,
        build=lambda _: copy.deepcopy(model),
        loss=loss,
        clients=parts,
        auxiliary=auxiliary,
        training=job.training,
        classes=dataset.classes,
        value_range=dataset.value_range,
    )
    _check(task, defenses)
    weights = (t.detach().cpu().numpy().tobytes() for t in model.state_dict().values())
    return Spec(
        plan=plan,
        jobs=(Job(task=task, defenses=tuple(defenses), moments=job.moments),),
        attackers=_attackers(plan.attacks),
        fingerprint=_join(dataset.fingerprint, repr(model), repr(loss), *weights),
        source="pyproject.toml",
        replayable=False,
    )


def defense_components(defenses: Sequence[Defense]) -> tuple[Component, ...]:
    """Return defenses as a plan names them; anything else raises `UsageError`."""
    for defense in defenses:
        if not isinstance(defense, Defense):
            raise UsageError(
                f"defenses must be instances, as seepage.defenses.DPSGD(...), not {defense!r}"
            )
    return tuple(Component(name=d.card.name, settings=dict(d.card.settings)) for d in defenses)


def attack_components(attacks: Sequence[str | Attack]) -> tuple[Component, ...]:
    """Return attacks, by name or as instances, as a plan names them."""
    return tuple(map(_component, attacks))


def observer_names(names: Sequence[str] | None) -> tuple[str, ...]:
    """Return the names, all that are audited for None; an unknown one raises `UsageError`."""
    if names is None:
        return Plan().observers
    check_observers(names)
    return tuple(names)


def as_gate(gate: Gate | float | None) -> Gate:
    """Return a gate from a gate, a tolerance or nothing."""
    if gate is None:
        return Gate()
    return gate if isinstance(gate, Gate) else replace(Gate(), tolerance=float(gate))


def _task(plan: TaskPlan, seed: int, base: Path | None) -> tuple[Task, str]:
    dataset = load(plan.data, base=base, rng=numpy_rng(seed, "data", plan.name))
    clients, auxiliary = _dealt(dataset, plan, numpy_rng(seed, "split", plan.name))
    shape = tuple(dataset.inputs.shape[1:])
    task = Task(
        name=plan.name,
        build=lambda rng: build(
            plan.model.name,
            plan.model.settings,
            input_shape=shape,
            classes=dataset.classes,
            rng=rng,
        ),
        loss=loss_of(plan.loss, dataset.classes),
        clients=clients,
        auxiliary=auxiliary,
        training=plan.training,
        classes=dataset.classes,
        value_range=dataset.value_range,
        columns=dataset.columns,
    )
    return task, dataset.fingerprint


def _dealt(
    dataset: Dataset, plan: TaskPlan, rng: np.random.Generator
) -> tuple[tuple[ClientData, ...], Records]:
    """Deal out the records; auxiliary ones that equal a client's are left out (rule 8)."""
    validation = plan.training.validation if plan.training.patience else 0.0
    clients, auxiliary = split(
        dataset,
        plan.data,
        rng,
        holdout=plan.data.holdout,
        auxiliary=plan.data.auxiliary,
        validation=validation,
    )
    held = {
        row.tobytes()
        for client in clients
        for part in (client.train, client.holdout, client.validation)
        if part is not None
        for row in part.inputs.numpy()
    }
    new = [i for i, row in enumerate(auxiliary.inputs.numpy()) if row.tobytes() not in held]
    if len(new) < len(clients):
        raise DataError(
            f"{dataset.name}: only {len(new)} auxiliary records differ from the clients'; an audit "
            "needs at least one a client: give more data, or drop duplicates"
        )
    return clients, auxiliary.take(torch.tensor(new))


def _check(task: Task, defenses: Sequence[Defense]) -> None:
    """Refuse before anything is trained: a model that does not fit, a defense that can't."""
    model = task.build(torch_rng(0, "check", task.name))
    inputs = torch.cat([c.train.inputs for c in task.clients])
    targets = torch.cat([c.train.targets for c in task.clients])
    shown = torch.stack([torch.tensor(0), targets.argmax()])  # the greatest label must fit
    check_fit(model, task.loss, inputs[shown], targets[shown])
    for defense in defenses:
        if type(defense).admit is not Defense.admit:
            raise UsageError(
                f"{defense.card.name}: an audit trains the job many times, and would spend the "
                "clients' real budgets; leave it out: the records say what a job costs"
            )
        defense.check(model, task.training)


def _build_defense(component: Component) -> Defense:
    found = card("defenses", component.name)
    try:
        return found.build(component.settings)
    except TypeError as error:
        missing = [p.name for p in found.parameters if p.name not in component.settings]
        raise PlanError(f"{component.name}: {error} (parameters: {', '.join(missing)})") from error


def _attackers(components: Sequence[Component]) -> tuple[Attacker, ...]:
    known = cards("attacks")
    if not components:
        return tuple(Attacker(card=c, settings={}) for c in known.values())
    chosen = [Attacker(card=card("attacks", c.name), settings=c.settings) for c in components]
    for attacker in chosen:
        attacker.card.check(attacker.settings)
    return tuple(chosen)


def _component(attack: str | Attack) -> Component:
    if isinstance(attack, str):
        return Component(name=attack)
    for known in cards("attacks").values():
        if known.implementation.endswith(f":{type(attack).__name__}") and is_dataclass(attack):
            settings = {f.name: getattr(attack, f.name) for f in fields(attack)}
            return Component(name=known.name, settings=settings)
    raise UsageError(
        f"{type(attack).__name__} is not a registered attack; register a card by the entry "
        "point seepage.attacks"
    )


def _code(plan: Plan, base: Path | None) -> list[str]:
    """Return the text of the files behind each `module:function` that the plan names."""
    named = [n for t in plan.tasks for n in (t.data.source, t.model.name, t.loss) if ":" in n]
    texts: list[str] = []
    for name in named:
        path = (base or Path()) / (name.partition(":")[0].replace(".", "/") + ".py")
        texts.append(path.read_text() if path.is_file() else name)
    return texts


def _join(*parts: str | bytes) -> str:
    whole = sha256()
    for part in parts:
        whole.update(part.encode() if isinstance(part, str) else part)
        whole.update(b"\x00")
    return whole.hexdigest()


def plan_settings(plan: Plan) -> dict[str, Any]:
    """Return the plan's settings that its address depends on: all but the budget."""
    settings = asdict(plan)
    settings.pop("budget")
    return settings
