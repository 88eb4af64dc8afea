"""What an audit found: the content of `result.json` (schema `seepage.result/1`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import date
from math import inf
from pathlib import Path
from typing import Any

from .errors import UsageError
from .exposed import Membership
from .guarantees import GuaranteeTest
from .privacy import EpsilonRecord
from .registry import canonical, canonical_finding, cards

SCHEMA = "seepage.result/1"
PASS, LEAK, INCONCLUSIVE, CLEAR = "pass", "leak", "inconclusive", "clear"


@dataclass(frozen=True, kw_only=True, slots=True)
class Control:
    """The positive control of a finding: `kind` is `twin`, `planted` or `none`.

    `value` with `ci` (95 %) over `n` victims, beside its own null control and prior.
    """

    kind: str
    value: float
    ci: tuple[float, float]
    leaked: bool
    n: int = 0
    null: float = 0.0
    prior: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """What was measured along an axis, beside the most that a formal guarantee allows there.

    Fields
    ------
    kind : `roc` (from false- to true-positive rate) or `rero` (from the chance of the best
        blind guess to the chance of a reconstruction)
    bound : points (x, most that any attack reaches), x ascending, all in [0, 1]; empty where
        there is no guarantee
    measured : points (x, value, lower, upper limit at 95 %, each on its own), x ascending
    """

    kind: str
    bound: tuple[tuple[float, float], ...]
    measured: tuple[tuple[float, float, float, float], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One attack x observer x moment x metric, judged.

    `value` with `ci` (95 %) over `n` victims in `units` independent draws; `null` and
    `prior` are what the same metric gives without the right view; `gain` is
    value - max(null, prior) with Holm-corrected limits `gain_ci`; `bound` is the best
    that any attack could reach under the defenses' formal guarantee (None: there is
    none), and `curve` the same along an axis. `membership` says of whom a membership attack
    told (with the metric `auc`, which every one has; else None). `broken`: the measurement
    surely exceeds the bound, so the guarantee is false; such a finding always counts, and
    can't be accepted. `accepted` holds the reason of a gate that accepts this finding.
    """

    id: str
    task: str
    attack: str
    observer: str
    moment: str
    metric: str
    value: float
    ci: tuple[float, float]
    n: int
    units: int
    null: float
    prior: float
    gain: float
    gain_ci: tuple[float, float]
    control: Control
    bound: float | None
    verdict: str
    reason: str
    gated: bool
    seconds: float
    accepted: str | None = None
    worst_case: bool = False
    broken: bool = False
    curve: Curve | None = None
    membership: Membership | None = None
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, kw_only=True, slots=True)
class NotRun:
    """A cell that has no value, and why."""

    task: str
    attack: str
    observer: str
    moment: str
    reason: str
    gated: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """An audit's outcome; `result[attack]` is that attack's worst finding.

    `guarantees` is what canaries showed of claimed epsilons, where they were planted.
    """

    verdict: str
    reason: str
    plan: Mapping[str, Any]
    source: str
    address: str
    seed: int
    versions: Mapping[str, str]
    utility: Mapping[str, Any]
    cost: Mapping[str, float]
    privacy: tuple[EpsilonRecord, ...]
    findings: tuple[Finding, ...]
    not_run: tuple[NotRun, ...]
    replay: str
    guarantees: tuple[GuaranteeTest, ...] = ()
    schema: str = SCHEMA
    folder: Path | None = None

    def __getitem__(self, attack: str) -> Finding:
        name = canonical("attacks", attack)
        ours = [f for f in self.findings if f.attack == name]
        if not ours:
            known = sorted({f.attack for f in self.findings})
            raise KeyError(f"no finding of {attack!r}; there are: {', '.join(known) or 'none'}")
        return max(ours, key=lambda f: (f.verdict == LEAK, f.gain))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types, as `result.json` holds them."""
        data = asdict(self)
        data.pop("folder")
        return {"schema": data.pop("schema"), **plain_json(data)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], folder: Path | None = None) -> Result:
        """Read what `to_json` wrote; another schema raises `UsageError`."""
        if data.get("schema") != SCHEMA:
            raise UsageError(
                f"this result has schema {data.get('schema')!r}; this seepage reads {SCHEMA!r}"
            )
        top = {f.name: data[f.name] for f in fields(cls) if f.name in data}
        top["findings"] = tuple(_finding(f) for f in data["findings"])
        top["not_run"] = tuple(
            replace(NotRun(**n), attack=canonical("attacks", n["attack"])) for n in data["not_run"]
        )
        top["privacy"] = tuple(_epsilon_record(p) for p in data["privacy"])
        top["guarantees"] = tuple(
            GuaranteeTest(**_unbounded(g)) for g in data.get("guarantees", ())
        )
        return cls(**top, folder=folder)

    @classmethod
    def load(cls, run: str | Path) -> Result:
        """Read a run folder or a `result.json`; a missing or torn one raises `UsageError`."""
        path = Path(run)
        path = path / "result.json" if path.is_dir() else path
        try:
            return cls.from_json(json.loads(path.read_text()), folder=path.parent)
        except FileNotFoundError as error:
            raise UsageError(f"{run}: no run there (no result.json)") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"{path}: not a seepage result: {error}") from error

    def save(self, path: str | Path) -> Path:
        """Write a report; the suffix chooses the format (.html .json .md .sarif .xml ...)."""
        path = Path(path)
        by_suffix = {p.default: card for card in cards("formats").values() for p in card.parameters}
        if path.suffix not in by_suffix:
            raise UsageError(f"{path}: unknown format; use one of {', '.join(sorted(by_suffix))}")
        path.parent.mkdir(parents=True, exist_ok=True)
        content: str | bytes = by_suffix[path.suffix].load()(self)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path


def _epsilon_record(data: Mapping[str, Any]) -> EpsilonRecord:
    values = _unbounded(data)
    values["composition"] = tuple(values.get("composition", ()))
    return EpsilonRecord(**values)


def _unbounded(data: Mapping[str, Any]) -> dict[str, Any]:
    return {k: inf if v == "unbounded" else v for k, v in data.items()}


def _finding(data: Mapping[str, Any]) -> Finding:
    control = dict(data["control"])
    control["ci"] = tuple(control["ci"])
    values: dict[str, Any] = {**data, "control": Control(**control)}
    values["id"] = canonical_finding(data["id"])
    values["attack"] = canonical("attacks", data["attack"])
    for name in ("ci", "gain_ci"):
        values[name] = tuple(data[name])
    if curve := data.get("curve"):
        points = {name: tuple(map(tuple, curve[name])) for name in ("bound", "measured")}
        values["curve"] = Curve(kind=curve["kind"], **points)
    if membership := data.get("membership"):
        values["membership"] = Membership.from_json(membership)
    return Finding(**values)


def plain_json(value: Any) -> Any:
    """Return plain JSON types: no infinities, and at most ten digits of a number."""
    if isinstance(value, Mapping):
        return {str(k): plain_json(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(v) for v in value]
    if isinstance(value, float):
        return "unbounded" if abs(value) == inf else float(f"{value:.10g}")
    return str(value) if isinstance(value, Path | date) else value
