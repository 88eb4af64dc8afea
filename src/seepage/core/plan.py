"""A plan: what to train, what to defend it with, who attacks, and what may pass."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from .errors import UsageError, require_least
from .names import nearest
from .task import Training
from .threat import OBSERVERS, Observer

MOMENTS = ("start", "middle", "end")
CANARY_KINDS = ("mislabelled", "crafted", "direction")
CANARY_METHODS = ("f-dp", "steinke")
METRICS = (
    *("identification_rate", "label_rate", "property_rate", "attribute_accuracy"),
    *("tpr_at_1pct_fpr", "tpr_at_01pct_fpr", "auc", "source_accuracy"),
)


def check_observers(names: Iterable[str], where: str = "observers") -> None:
    """Raise `UsageError` for an observer that is unknown, or that no audit covers yet."""
    known = [o.value for o in Observer]
    for name in names:
        if name not in known:
            raise UsageError(f"{where}: no observer is called {name!r}{nearest(name, known)}")
        if not OBSERVERS[Observer(name)].audited:
            raise UsageError(f"{where}: {name} is not audited yet; leave it out")


@dataclass(frozen=True, kw_only=True, slots=True)
class Component:
    """A registered thing by name, with settings for its parameters."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, kw_only=True, slots=True)
class DataPlan:
    """Where records come from and which client holds which.

    Fields
    ------
    source : a dataset's name, a file (.npz .csv .parquet, IDX), a folder or zip of images, or
        `module:function`
    inputs, targets : npz keys, IDX label file, the table's target column, or the folder in a zip
    scale : `auto` (bytes to [0, 1], tables standardized), `unit`, `standard` or `none`
    partition : `iid`, `dirichlet` (label skew) or `column`
    alpha : concentration of the Dirichlet skew; smaller is more skewed
    column : table column (or npz key) whose values are the clients
    limit : use at most so many rows, drawn by the seed (0: all)
    train_limit : train each client on at most so many records (0: all); the rest is unused
    holdout : share of each client's records that it never trains on (non-members, test set)
    auxiliary : share of all records that no client holds (the attacker's)
    """

    source: str = "digits"
    inputs: str = ""
    targets: str = ""
    scale: str = "auto"
    partition: str = "iid"
    alpha: float = 0.5
    column: str = ""
    clients: int = 8
    limit: int = 0
    train_limit: int = 0
    holdout: float = 0.25
    auxiliary: float = 0.25


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskPlan:
    """One federated job; `moments` are the stages of training at which it is attacked.

    `attacks` names those of the plan's attacks that are run on this job (empty: all).
    `loss` is `auto` (cross-entropy for classes, mean squared error else) or a
    `module:function` of (outputs, targets) with mean reduction.
    `groups` names columns of the table, `label` or `client`, between whose groups membership
    attacks are compared (empty: the columns that people may mind, label and client).
    """

    name: str = "task"
    data: DataPlan = field(default_factory=DataPlan)
    model: Component = field(default_factory=lambda: Component(name="mlp"))
    loss: str = "auto"
    training: Training = field(default_factory=Training)
    moments: tuple[str, ...] = ("start",)
    attacks: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Acceptance:
    """A finding that a person has accepted, why, and until when."""

    id: str
    reason: str
    expires: datetime.date


@dataclass(frozen=True, kw_only=True, slots=True)
class Gate:
    """What counts: metrics and observers (empty: all), and the gain that is tolerated."""

    tolerance: float = 0.05
    metrics: tuple[str, ...] = ("identification_rate", "tpr_at_1pct_fpr", "auc")
    observers: tuple[str, ...] = ()
    accept: tuple[Acceptance, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what would quietly gate nothing."""
        if not 0 < self.tolerance < 1:
            raise UsageError(f"gate: tolerance is {self.tolerance}; use a gain between 0 and 1")
        for metric in self.metrics:
            if metric not in METRICS:
                raise UsageError(
                    f"gate: metrics is no place for {metric!r}{nearest(metric, METRICS)}"
                )
        check_observers(self.observers, "gate: observers")


@dataclass(frozen=True, kw_only=True, slots=True)
class CanaryPlan:
    """Canaries that test the claimed epsilon of each job in one run more.

    Fields
    ------
    count : canaries, each in the job by the toss of a coin (0: no test)
    kind : `mislabelled` records, or `crafted` ones that stand out among gradients, or clients
        that each send one random `direction`, for guarantees of whole clients
    max_norm : length of a crafted canary's gradient, or of a canary client's update: what the
        defense clips to, > 0
    attack, observer : who scores the canaries (canary clients: no attack but the projection on
        their directions)
    method : `f-dp` or `steinke`, bounds that hold for one run
    confidence : with which the bound holds, in (0.5, 1)
    """

    count: int = 0
    kind: str = "mislabelled"
    max_norm: float = 1.0
    attack: str = "candidate-test"
    observer: str = Observer.HONEST_SERVER.value
    method: str = "f-dp"
    confidence: float = 0.95

    def __post_init__(self) -> None:
        """Refuse what can't be meant."""
        require_least("canaries", self, count=0)
        check_observers([self.observer], "canaries: observer")
        for name, known in (("kind", CANARY_KINDS), ("method", CANARY_METHODS)):
            if (value := getattr(self, name)) not in known:
                raise UsageError(f"canaries: {name} is {value!r}{nearest(str(value), known)}")
        if not self.max_norm > 0 or not 0.5 < self.confidence < 1:
            raise UsageError("canaries: max_norm is above 0, confidence above 0.5 and below 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """A whole audit.

    Fields
    ------
    budget : how long cells may start, e.g. `60s`, `10m`, or `none`
    attacks : those to run (empty: every one that applies)
    observers : those to audit (empty: every one that is built)
    canaries : the test of claimed epsilons
    units : independent draws a finding rests on (0: enough for a clear to be possible)
    delta : of the epsilon records
    """

    name: str = "plan"
    seed: int = 0
    budget: str = "60s"
    tasks: tuple[TaskPlan, ...] = (TaskPlan(),)
    defenses: tuple[Component, ...] = ()
    attacks: tuple[Component, ...] = ()
    observers: tuple[str, ...] = tuple(o.value for o, card in OBSERVERS.items() if card.audited)
    gate: Gate = field(default_factory=Gate)
    canaries: CanaryPlan = field(default_factory=CanaryPlan)
    units: int = 0
    delta: float = 1e-5

    @property
    def budget_seconds(self) -> float:
        """Return the budget in seconds, `inf` for `none`."""
        return parse_budget(self.budget)

    def watchers(self) -> tuple[Observer, ...]:
        """Return the observers as members of the enumeration."""
        return tuple(Observer(name) for name in self.observers)

    def to_json(self) -> dict[str, Any]:
        """Return the plan as plain types, in the shape of its TOML."""
        return asdict(self)


def parse_budget(text: str) -> float:
    """Return seconds from `90`, `90s`, `10m`, `2h` or `none`; else raise `ValueError`.

    >>> parse_budget("10m")
    600.0
    """
    if text == "none":
        return float("inf")
    scale = {"s": 1, "m": 60, "h": 3600}.get(text[-1:], 0)
    seconds = float(text[:-1]) * scale if scale else float(text)
    if not seconds > 0:
        raise ValueError(text)
    return seconds
